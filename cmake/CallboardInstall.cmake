# What `cmake --install` puts where: headers, libraries with exported targets, the CMake package and
# the pkg-config files. Programs are installed by their own directories.

include(CMakePackageConfigHelpers)

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Callboard")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/callboard"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")

install(EXPORT CallboardTargets NAMESPACE Callboard:: DESTINATION "${_package_dir}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/CallboardConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/CallboardConfig.cmake" INSTALL_DESTINATION "${_package_dir}")
# Before 1.0 a minor version may change the API.
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/CallboardConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/CallboardConfig.cmake"
              "${PROJECT_BINARY_DIR}/CallboardConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/CallboardDependencies.cmake"
        DESTINATION "${_package_dir}")

# callboard_pkgconfig(<component> <description> <requires> <libraries>)
# The libraries are static, so what they need stands in Libs and not in Libs.private.
function(callboard_pkgconfig component description requires libraries)
  set(PC_NAME "callboard-${component}")
  set(PC_DESCRIPTION "${description}")
  set(PC_REQUIRES "${requires}")
  set(PC_LIBRARIES "${libraries}")
  file(RELATIVE_PATH PC_PREFIX_FROM_HERE "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  configure_file("${PROJECT_SOURCE_DIR}/cmake/callboard.pc.in"
                 "${PROJECT_BINARY_DIR}/${PC_NAME}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${PC_NAME}.pc"
          DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()

callboard_pkgconfig(client "Calls actors and tasks over Callboard" ""
                    "-lcallboard_client -lcallboard_common -lspdlog -lfmt -pthread")
callboard_pkgconfig(worker "Runs actors and tasks for Callboard" "callboard-client"
                    "-lcallboard_worker -lcallboard_client -lcallboard_common -lhwloc -ldl")
