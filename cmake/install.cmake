# What `cmake --install` adds to the binary and the rules: manual page and an example config.
# Included by the top CMakeLists.txt after GNUInstallDirs.
install(FILES ${PROJECT_SOURCE_DIR}/docs/goprofd.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/examples/config/goprofd.lua
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
