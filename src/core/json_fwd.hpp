// The types of core/json.hpp, for headers.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace spillway {

template <class T, class Enable = void>
struct ExactNumbers;

using Json = nlohmann::basic_json<std::map, std::vector, std::string, bool, int64_t, uint64_t,
                                  double, std::allocator, ExactNumbers>;
using OrderedJson = nlohmann::basic_json<nlohmann::ordered_map, std::vector, std::string, bool,
                                         int64_t, uint64_t, double, std::allocator, ExactNumbers>;

}  // namespace spillway
