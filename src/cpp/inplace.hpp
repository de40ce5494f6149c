// How Python updates lists of torch's tensors.
#pragma once

#include <nanobind/nanobind.h>

namespace gradus {

// Gives the module its class InPlaceUpdate.
void bind_in_place_update(nanobind::module_& module);

}  // namespace gradus
