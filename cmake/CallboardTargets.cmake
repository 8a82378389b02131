# Helpers for the CMakeLists.txt of each directory.
#
#   callboard_library(<name> [EXPORT <component>] SOURCES <file>...
#                     [PUBLIC <lib>...] [PRIVATE <lib>...])
#     A static library. Includes are found from the root ("common/x.hpp") and from include/
#     (<callboard/x.hpp>). EXPORT installs it as Callboard::<component>.
#
#   callboard_executable(<name> [INSTALL] SOURCES <file>... [LIBS <lib>...])
#
#   callboard_loadable(<name> [INSTALL] SOURCES <file>... [LIBS <lib>...])
#     A library for `callboard worker --load`. It links nothing of Callboard: the program that loads
#     it has all of it already, and two copies would be two states.
#
#   callboard_test(<name> SOURCES <file>... [LIBS <lib>...] [LABELS <label>...]
#                  [TIMEOUT <seconds>] [SERIAL] [ENVIRONMENT <NAME=value>...])
#     A GoogleTest program (main and gmock are given) and its test. SERIAL: nothing else runs
#     beside it.
#
#   callboard_python_test(<name> FILE <file.py> [LABELS ...] [TIMEOUT ...] [SERIAL]
#                         [ENVIRONMENT ...])
#     A Python unittest file, run with the system's Python, which has zmq and msgpack.
#
# Every test leaves its counts under <build>/test-results/<name>.json, which scripts/test adds up.

include(GNUInstallDirs)

set(CALLBOARD_TEST_RESULTS "${CMAKE_BINARY_DIR}/test-results")
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/sanitizer-reports")
find_program(CALLBOARD_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)

function(_callboard_includes name scope)
  target_include_directories(${name} ${scope}
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>" "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
endfunction()

function(callboard_library name)
  cmake_parse_arguments(arg "" "EXPORT" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  _callboard_includes(${name} PUBLIC)
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  if(arg_EXPORT)
    set_target_properties(${name} PROPERTIES EXPORT_NAME ${arg_EXPORT})
    add_library(Callboard::${arg_EXPORT} ALIAS ${name})
    install(TARGETS ${name} EXPORT CallboardTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
    set_property(GLOBAL APPEND PROPERTY CALLBOARD_EXPORTED ${arg_EXPORT})
  endif()
endfunction()

function(callboard_executable name)
  cmake_parse_arguments(arg "INSTALL" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  _callboard_includes(${name} PRIVATE)
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
  if(arg_INSTALL)
    install(TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endif()
endfunction()

function(callboard_loadable name)
  cmake_parse_arguments(arg "INSTALL" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} MODULE ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${name} PRIVATE ${arg_LIBS} Threads::Threads)
  if(arg_INSTALL)
    install(TARGETS ${name} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/callboard")
  endif()
endfunction()

function(_callboard_test_properties name)
  cmake_parse_arguments(arg "SERIAL" "TIMEOUT" "LABELS;ENVIRONMENT" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set(suppressions "${PROJECT_SOURCE_DIR}/tests/sanitizers")
  # Reports go to files, so that a process which a test started cannot be accused unheard. Deadly
  # signals are left to those whom they hit: some tests crash on purpose, the others fail of them.
  set(signals "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0")
  set(reports "${CMAKE_BINARY_DIR}/sanitizer-reports/${name}")
  set(environment ${arg_ENVIRONMENT}
      "GTEST_OUTPUT=json:${CALLBOARD_TEST_RESULTS}/${name}.json"
      "ASAN_OPTIONS=${signals}:detect_stack_use_after_return=1:log_path=${reports}.asan"
      "UBSAN_OPTIONS=print_stacktrace=1:log_path=${reports}.ubsan"
      "LSAN_OPTIONS=suppressions=${suppressions}/lsan.supp:print_suppressions=0"
      "TSAN_OPTIONS=${signals}:suppressions=${suppressions}/tsan.supp:log_path=${reports}.tsan")
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}" ENVIRONMENT "${environment}")
  if(arg_SERIAL)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

function(callboard_test name)
  cmake_parse_arguments(arg "SERIAL" "TIMEOUT" "SOURCES;LIBS;LABELS;ENVIRONMENT" ${ARGN})
  callboard_executable(${name} SOURCES ${arg_SOURCES}
                       LIBS ${arg_LIBS} GTest::gmock_main GTest::gmock)
  # Tests ask the optimised code; optimising the questions would double the time of the build.
  target_compile_options(${name} PRIVATE -O0)
  add_test(NAME ${name} COMMAND ${name})
  set(serial "")
  if(arg_SERIAL)
    set(serial SERIAL)
  endif()
  _callboard_test_properties(${name} ${serial} TIMEOUT "${arg_TIMEOUT}" LABELS ${arg_LABELS}
                             ENVIRONMENT ${arg_ENVIRONMENT})
endfunction()

function(callboard_python_test name)
  cmake_parse_arguments(arg "SERIAL" "TIMEOUT;FILE" "LABELS;ENVIRONMENT" ${ARGN})
  if(NOT IS_ABSOLUTE "${arg_FILE}")
    set(arg_FILE "${CMAKE_CURRENT_SOURCE_DIR}/${arg_FILE}")
  endif()
  add_test(NAME ${name}
           COMMAND ${CALLBOARD_PYTHON} "${PROJECT_SOURCE_DIR}/tests/run_unittest.py" "${arg_FILE}")
  set(serial "")
  if(arg_SERIAL)
    set(serial SERIAL)
  endif()
  _callboard_test_properties(${name} ${serial} TIMEOUT "${arg_TIMEOUT}" LABELS ${arg_LABELS}
    ENVIRONMENT "CALLBOARD_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
                "CALLBOARD_BINARY_DIR=${CMAKE_BINARY_DIR}" ${arg_ENVIRONMENT})
endfunction()
