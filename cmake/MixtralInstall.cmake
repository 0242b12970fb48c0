# `cmake --install`: the program, libmixtral, its headers below include/mixtral, and the package for
# find_package(mixtral). Includes read as in this repository: #include "engine/engine.h".
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/mixtral)

install(TARGETS mixtral EXPORT mixtral_targets)
install(EXPORT mixtral_targets FILE mixtralTargets.cmake NAMESPACE mixtral:: DESTINATION ${package_folder})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mixtral
  FILES_MATCHING PATTERN "*.h")
if(TARGET mixtral_cli)
  install(TARGETS mixtral_cli)
endif()
if(TARGET mixtral_pages)
  set(pages ${PROJECT_BINARY_DIR}/pages)
  install(DIRECTORY ${pages}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
  install(FILES ${pages}/mixtral DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${pages}/_mixtral DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/mixtralConfig.cmake.in
  ${PROJECT_BINARY_DIR}/mixtralConfig.cmake INSTALL_DESTINATION ${package_folder})
# Below 1.0 every minor version may break its users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mixtralConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mixtralConfig.cmake ${PROJECT_BINARY_DIR}/mixtralConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/Findxxhash.cmake
  DESTINATION ${package_folder})
