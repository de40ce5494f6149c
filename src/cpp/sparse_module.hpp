// How Python reaches linear models on inputs that are mostly zeros.
#pragma once

#include <nanobind/nanobind.h>

namespace gradus {

// Gives the module its classes Sparse32, Sparse64 and those of their data.
void bind_sparse(nanobind::module_& module);

}  // namespace gradus
