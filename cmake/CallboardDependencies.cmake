# The libraries Callboard is built from, as imported targets under one kind of name. The build
# includes this file, and the installed package includes the same file, so both find the same things
# in the same way.
#
#   callboard_require_dependencies(<name>...)
#     Stops with one clear line when one of them is missing.
#   callboard_find_dependencies(<result> <name>...)
#     Sets <result> to the names that are missing.
#
# names and targets:
#   boost    callboard_boost     headers only, 1.81 or newer (Asio)
#   msgpack  callboard_msgpack   headers only, without Boost
#   zmq      callboard_zmq       libzmq and cppzmq's zmq.hpp
#   hiredis  callboard_hiredis   included as <hiredis/hiredis.h>
#   hwloc    callboard_hwloc
#   spdlog   spdlog::spdlog
#   cli11    CLI11::CLI11
#   toml     tomlplusplus::tomlplusplus
#   json     nlohmann_json::nlohmann_json
#
# CALLBOARD_DEPS_PREFIX names a folder where scripts/setup unpacked what the distribution cannot
# install.

function(_callboard_interface name)
  if(NOT TARGET ${name})
    add_library(${name} INTERFACE IMPORTED GLOBAL)
  endif()
endfunction()

function(_callboard_find_boost found)
  find_path(CALLBOARD_BOOST_INCLUDE boost/asio/awaitable.hpp
            HINTS "${CALLBOARD_DEPS_PREFIX}/include")
  mark_as_advanced(CALLBOARD_BOOST_INCLUDE)
  set(${found} FALSE PARENT_SCOPE)
  if(NOT CALLBOARD_BOOST_INCLUDE)
    return()
  endif()
  file(STRINGS "${CALLBOARD_BOOST_INCLUDE}/boost/version.hpp" line REGEX "define BOOST_VERSION ")
  string(REGEX MATCH "[0-9]+" version "${line}")
  if(version LESS 108100)
    message(STATUS "Boost in ${CALLBOARD_BOOST_INCLUDE} is older than 1.81 (${version})")
    return()
  endif()
  _callboard_interface(callboard_boost)
  set_target_properties(callboard_boost PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CALLBOARD_BOOST_INCLUDE}"
    INTERFACE_COMPILE_DEFINITIONS "BOOST_ASIO_NO_DEPRECATED"
    INTERFACE_LINK_LIBRARIES "Threads::Threads")
  set(${found} TRUE PARENT_SCOPE)
endfunction()

function(_callboard_find_msgpack found)
  find_path(CALLBOARD_MSGPACK_INCLUDE msgpack/version_master.hpp
            HINTS "${CALLBOARD_DEPS_PREFIX}/include")
  mark_as_advanced(CALLBOARD_MSGPACK_INCLUDE)
  if(NOT CALLBOARD_MSGPACK_INCLUDE)
    set(${found} FALSE PARENT_SCOPE)
    return()
  endif()
  _callboard_interface(callboard_msgpack)
  set_target_properties(callboard_msgpack PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CALLBOARD_MSGPACK_INCLUDE}"
    INTERFACE_COMPILE_DEFINITIONS "MSGPACK_NO_BOOST")
  set(${found} TRUE PARENT_SCOPE)
endfunction()

# A C library with one header and one object, the rest of its interface in ARGN.
function(_callboard_find_library found target header library)
  string(TOUPPER ${target} prefix)
  find_path(${prefix}_INCLUDE ${header})
  find_library(${prefix}_LIBRARY ${library})
  mark_as_advanced(${prefix}_INCLUDE ${prefix}_LIBRARY)
  if(NOT ${prefix}_INCLUDE OR NOT ${prefix}_LIBRARY)
    set(${found} FALSE PARENT_SCOPE)
    return()
  endif()
  _callboard_interface(${target})
  set_target_properties(${target} PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${${prefix}_INCLUDE}"
    INTERFACE_LINK_LIBRARIES "${${prefix}_LIBRARY};Threads::Threads")
  set(${found} TRUE PARENT_SCOPE)
endfunction()

function(_callboard_find_package found package target)
  find_package(${package} QUIET CONFIG GLOBAL)
  if(TARGET ${target})
    set(${found} TRUE PARENT_SCOPE)
  else()
    set(${found} FALSE PARENT_SCOPE)
  endif()
endfunction()

macro(_callboard_find name found)
  if("${name}" STREQUAL "boost")
    _callboard_find_boost(${found})
  elseif("${name}" STREQUAL "msgpack")
    _callboard_find_msgpack(${found})
  elseif("${name}" STREQUAL "zmq")
    _callboard_find_library(${found} callboard_zmq zmq.hpp zmq)
  elseif("${name}" STREQUAL "hiredis")
    _callboard_find_library(${found} callboard_hiredis hiredis/hiredis.h hiredis)
  elseif("${name}" STREQUAL "hwloc")
    _callboard_find_library(${found} callboard_hwloc hwloc.h hwloc)
  elseif("${name}" STREQUAL "spdlog")
    _callboard_find_package(${found} spdlog spdlog::spdlog)
  elseif("${name}" STREQUAL "cli11")
    _callboard_find_package(${found} CLI11 CLI11::CLI11)
  elseif("${name}" STREQUAL "toml")
    _callboard_find_package(${found} tomlplusplus tomlplusplus::tomlplusplus)
  elseif("${name}" STREQUAL "json")
    _callboard_find_package(${found} nlohmann_json nlohmann_json::nlohmann_json)
  else()
    message(FATAL_ERROR "unknown dependency ${name}")
  endif()
endmacro()

macro(callboard_find_dependencies result)
  set(${result} "")
  find_package(Threads REQUIRED)
  foreach(_callboard_name ${ARGN})
    _callboard_find(${_callboard_name} _callboard_found)
    if(NOT _callboard_found)
      list(APPEND ${result} ${_callboard_name})
    endif()
  endforeach()
endmacro()

macro(callboard_require_dependencies)
  callboard_find_dependencies(_callboard_missing ${ARGN})
  if(_callboard_missing)
    string(REPLACE ";" ", " _callboard_missing "${_callboard_missing}")
    message(FATAL_ERROR "not found: ${_callboard_missing}. Run scripts/setup, which installs them.")
  endif()
endmacro()
