// Where the numbers of torch's tensors lie, read without building against torch.
//
// Torch, from version 2.10 on, hands out a C function that tells of a tensor what DLPack knows of
// it (DLPackExchangeAPI of dlpack.h 1.2). It takes some ten nanoseconds where Python would ask for
// address, device, dtype and strides one by one.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace gradus {

namespace nb = nanobind;

// The function that torch hands out, and the types of which it is asked: what derives from them
// may keep its numbers elsewhere.
class Reader {
public:
    Reader(nb::capsule exchange, std::vector<nb::object> types)
        : types_(std::move(types)) {
        const auto* found = static_cast<const Exchange*>(exchange.data("dlpack_exchange_api"));
        if (found->major == 1) read_ = found->read;
    }

    // Whether it tells; what it says of sizes and strides belongs to the tensor. Torch has zeros
    // that lie nowhere.
    bool operator()(PyObject* tensor, nb::dlpack::dltensor& told) const {
        if (!read_ || !known(tensor)) return false;
        if (read_(tensor, &told) == 0) return told.data != nullptr || is_empty(told);
        PyErr_Clear();
        return false;
    }

    // A function of torch's, or null.
    const void* function() const { return reinterpret_cast<const void*>(read_); }

private:
    struct Exchange {
        uint32_t major, minor;
        void* older;
        void* functions[3];  // that make and take tensors
        int (*read)(void*, nb::dlpack::dltensor*);
    };

    static bool is_empty(const nb::dlpack::dltensor& tensor) {
        for (int i = 0; i < tensor.ndim; ++i) {
            if (tensor.shape[i] == 0) return true;
        }
        return false;
    }

    bool known(PyObject* tensor) const {
        for (const nb::object& type : types_) {
            if (reinterpret_cast<PyObject*>(Py_TYPE(tensor)) == type.ptr()) return true;
        }
        return false;
    }

    std::vector<nb::object> types_;
    int (*read_)(void*, nb::dlpack::dltensor*) = nullptr;
};

template <class T>
T* address(const nb::dlpack::dltensor& tensor) {
    return reinterpret_cast<T*>(static_cast<char*>(tensor.data) + tensor.byte_offset);
}

template <class T>
bool holds(const nb::dlpack::dltensor& tensor) {
    return tensor.device.device_type == nb::device::cpu::value &&
           tensor.dtype == nb::dtype<T>();
}

inline int64_t entries(const nb::dlpack::dltensor& tensor) {
    int64_t count = 1;
    for (int i = 0; i < tensor.ndim; ++i) count *= tensor.shape[i];
    return count;
}

// Whether the numbers fill their memory without gaps or overlaps, in any order of the axes.
inline bool fills(const nb::dlpack::dltensor& tensor) {
    const int64_t count = entries(tensor);
    if (count == 0) return true;
    int64_t next = 1;
    for (int found = 0; next != count && found < tensor.ndim; ++found) {
        int axis = 0;
        while (axis < tensor.ndim &&
               (tensor.shape[axis] == 1 || tensor.strides[axis] != next)) ++axis;
        if (axis == tensor.ndim) return false;
        next *= tensor.shape[axis];
    }
    return next == count;
}

// Whether an index leads to the same place in both.
inline bool alike(const nb::dlpack::dltensor& one, const nb::dlpack::dltensor& other) {
    if (one.ndim != other.ndim) return false;
    for (int i = 0; i < one.ndim; ++i) {
        if (one.shape[i] != other.shape[i]) return false;
        if (one.shape[i] != 1 && one.strides[i] != other.strides[i]) return false;
    }
    return true;
}

}  // namespace gradus
