# Every outside library, behind one interface target a use.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(tl-expected REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)

add_library(spillway_core_deps INTERFACE)
target_link_libraries(spillway_core_deps INTERFACE fmt::fmt tl::expected nlohmann_json::nlohmann_json PkgConfig::LZ4
                      PkgConfig::XXHASH PkgConfig::CRYPTO Threads::Threads)

add_library(spillway_format_deps INTERFACE)
find_package(ZLIB REQUIRED)
find_package(BZip2 REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
target_link_libraries(spillway_format_deps INTERFACE ZLIB::ZLIB BZip2::BZip2 PkgConfig::ZSTD)

add_library(spillway_expand_deps INTERFACE)
find_package(EXPAT REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
target_link_libraries(spillway_expand_deps INTERFACE EXPAT::EXPAT PkgConfig::UTF8PROC ${CMAKE_DL_LIBS})

add_library(spillway_net_deps INTERFACE)
find_package(CURL REQUIRED)
target_link_libraries(spillway_net_deps INTERFACE CURL::libcurl)

# zlib for streams of any length, libdeflate and ISA-L for blocks; libmurmurhash for shard numbers;
# libpng for the report's pictures.
add_library(spillway_export_deps INTERFACE)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(DEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(BROTLI REQUIRED IMPORTED_TARGET libbrotlidec)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(MURMURHASH REQUIRED IMPORTED_TARGET libmurmurhash)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
target_link_libraries(spillway_export_deps INTERFACE PkgConfig::ZLIB PkgConfig::DEFLATE PkgConfig::ISAL PkgConfig::BROTLI PkgConfig::ZSTD
                      PkgConfig::MURMURHASH PkgConfig::PNG)

add_library(spillway_cli_deps INTERFACE)
find_package(CLI11 REQUIRED)
target_link_libraries(spillway_cli_deps INTERFACE CLI11::CLI11)

# jemalloc gives memory back and keeps the process near its ledger; sanitizers bring their own allocator.
add_library(spillway_allocator INTERFACE)
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
  target_link_libraries(spillway_allocator INTERFACE PkgConfig::JEMALLOC)
endif()

# Arrow C++: the system's when it has one, else the pinned wheel that ./run put into the project's own environment.
add_library(spillway_arrow INTERFACE)
if(CMAKE_CXX_FLAGS MATCHES "sanitize=.*undefined")
  target_compile_options(spillway_arrow INTERFACE -fno-sanitize=nonnull-attribute)  # its headers copy no bytes from null
endif()
include(SpillwayArrow OPTIONAL)

# RDKit and yaml-cpp for `transform`.
include(SpillwayRdkit)

if(SPILLWAY_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
  add_library(spillway_test_deps INTERFACE)
  target_link_libraries(spillway_test_deps INTERFACE GTest::gtest GTest::gmock GTest::gtest_main rapidcheck rapidcheck_gtest)
endif()
