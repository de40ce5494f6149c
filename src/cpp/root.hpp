// Torch's own square root of an array: whoever has to round as torch does has to ask torch.
//
// What torch takes for a square root is that of the library that it was built with; that of MKL is
// off by up to 0.75 units in the last place. Torch hands out its operations as C functions
// (aoti_torch/c/shim.h, part of its stable ABI), which are looked up where torch has loaded them.
#pragma once

#include <dlfcn.h>

#include <cstdint>

namespace gradus {

class Root {
public:
    // `within`: the address of any function of torch's.
    explicit Root(const void* within) {
        Dl_info info;
        if (!within || !dladdr(within, &info)) return;
        void* const torch = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
        if (!torch) return;
        Constant cpu, single, twice;
        if (find(torch, "aoti_torch_create_tensor_from_blob", create_) &&
            find(torch, "aoti_torch_call_dispatcher", call_) &&
            find(torch, "aoti_torch_delete_tensor_object", destroy_) &&
            find(torch, "aoti_torch_device_type_cpu", cpu) &&
            find(torch, "aoti_torch_dtype_float32", single) &&
            find(torch, "aoti_torch_dtype_float64", twice)) {
            device_ = cpu();
            types_[0] = single();
            types_[1] = twice();
            is_known_ = true;
        }
        dlclose(torch);  // torch holds it open
    }

    bool is_known() const { return is_known_; }

    // In place; whether torch did it.
    template <class T>
    bool operator()(T* numbers, int64_t count) const {
        void* tensor = nullptr;
        const int64_t stride = 1;
        if (create_(numbers, 1, &count, &stride, 0, types_[sizeof(T) == 8], device_, -1, &tensor)) {
            return false;
        }
        uint64_t stack[1] = {uint64_t(reinterpret_cast<uintptr_t>(tensor))};  // the call takes it over
        if (call_("aten::sqrt_", "", stack)) return false;
        return destroy_(reinterpret_cast<void*>(uintptr_t(stack[0]))) == 0;
    }

private:
    using Create = int32_t (*)(void*, int64_t, const int64_t*, const int64_t*, int64_t, int32_t,
                               int32_t, int32_t, void**);
    using Call = int32_t (*)(const char*, const char*, uint64_t*);
    using Destroy = int32_t (*)(void*);
    using Constant = int32_t (*)();

    template <class Function>
    static bool find(void* library, const char* name, Function& found) {
        found = reinterpret_cast<Function>(dlsym(library, name));
        return found != nullptr;
    }

    Create create_ = nullptr;
    Call call_ = nullptr;
    Destroy destroy_ = nullptr;
    int32_t device_ = 0, types_[2] = {};
    bool is_known_ = false;
};

}  // namespace gradus
