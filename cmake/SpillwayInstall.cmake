# `cmake --install build/release --prefix DIR` leaves a folder that runs wherever it is moved:
#   bin/spillway  lib/libarrow.so.*  lib/libparquet.so.*  share/man/man1/  share/bash-completion/completions/
include(GNUInstallDirs)

set_target_properties(spillway PROPERTIES INSTALL_RPATH "$ORIGIN/../lib" INSTALL_RPATH_USE_LINK_PATH OFF)
install(TARGETS spillway RUNTIME DESTINATION bin)
if(SPILLWAY_ARROW_LIBRARIES)
  install(FILES ${SPILLWAY_ARROW_LIBRARIES} DESTINATION lib)
endif()
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md DESTINATION share/doc/spillway)
