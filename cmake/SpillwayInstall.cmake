# `cmake --install build/release --prefix DIR` leaves a folder that runs wherever it is moved:
#   bin/spillway  lib/libarrow.so.*  lib/libparquet.so.*  share/man/man1/  share/bash-completion/completions/
#   share/spillway/rules/
include(GNUInstallDirs)

set_target_properties(spillway PROPERTIES INSTALL_RPATH "$ORIGIN/../lib" INSTALL_RPATH_USE_LINK_PATH OFF)
install(TARGETS spillway RUNTIME DESTINATION bin)
if(SPILLWAY_ARROW_LIBRARIES)
  install(FILES ${SPILLWAY_ARROW_LIBRARIES} DESTINATION lib)
endif()

# The man page and the completion come from the program's own description of its commands.
set(texts ${CMAKE_BINARY_DIR}/share)
file(MAKE_DIRECTORY ${texts})
add_custom_command(
  OUTPUT ${texts}/spillway.1 ${texts}/spillway
  COMMAND spillway help man >${texts}/spillway.1
  COMMAND spillway help completion >${texts}/spillway
  DEPENDS spillway)
add_custom_target(spillway_texts ALL DEPENDS ${texts}/spillway.1 ${texts}/spillway)
install(FILES ${texts}/spillway.1 DESTINATION share/man/man1)
install(FILES ${texts}/spillway DESTINATION share/bash-completion/completions)

# For those who write plugins.
install(FILES ${CMAKE_SOURCE_DIR}/src/expand/plugin_abi.h DESTINATION include/expand)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md DESTINATION share/doc/spillway)

# The rules of `transform`, found from the program as ../share/spillway/rules.
if(SPILLWAY_HAVE_RDKIT)
  install(FILES ${CMAKE_SOURCE_DIR}/rules/standard.yaml DESTINATION share/spillway/rules)
endif()
