// How Python moves lists of torch's tensors.
#pragma once

#include <nanobind/nanobind.h>

namespace gradus {

// Gives the module its class Mover.
void bind_mover(nanobind::module_& module);

}  // namespace gradus
