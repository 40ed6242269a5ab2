# Arrow C++ and Parquet for `spillway_arrow`: the system's when there is one, else the wheel pinned in ./run, which is
# Arrow's own build with its headers. SPILLWAY_ARROW_LIBRARIES lists the files that an installation must bring along.
set(SPILLWAY_ARROW_LIBRARIES "")
find_package(Arrow QUIET)
find_package(Parquet QUIET)

if(Arrow_FOUND AND Parquet_FOUND)
  message(STATUS "Arrow ${ARROW_VERSION} of the system")
  target_link_libraries(spillway_arrow INTERFACE Arrow::arrow_shared Parquet::parquet_shared)
  target_compile_definitions(spillway_arrow INTERFACE SPILLWAY_HAVE_ARROW=1)
  return()
endif()

file(GLOB wheels ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/pyarrow)
if(NOT wheels)
  message(STATUS "no Arrow: --states is left out of this build (./run build brings it)")
  return()
endif()
list(GET wheels 0 wheel)

foreach(name arrow parquet)
  file(GLOB library ${wheel}/lib${name}.so.*)
  if(NOT library)
    message(FATAL_ERROR "no lib${name}.so in ${wheel}: remove .venv and run ./run build")
  endif()
  add_library(spillway_lib${name} SHARED IMPORTED)
  set_target_properties(spillway_lib${name} PROPERTIES IMPORTED_LOCATION ${library} IMPORTED_NO_SONAME OFF)
  list(APPEND SPILLWAY_ARROW_LIBRARIES ${library})
endforeach()
target_include_directories(spillway_arrow SYSTEM INTERFACE ${wheel}/include)
# The wheel is found at its place by the build tree's RPATH, which CMake adds for imported shared libraries.
target_link_libraries(spillway_arrow INTERFACE spillway_libparquet spillway_libarrow)
target_compile_definitions(spillway_arrow INTERFACE SPILLWAY_HAVE_ARROW=1)
message(STATUS "Arrow of the wheel in ${wheel}")
