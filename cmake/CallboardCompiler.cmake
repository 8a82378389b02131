# How everything is compiled: the language, warnings, sanitizers, linker and compiler cache.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # static libraries end up in loadable user libraries too
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug or Release" FORCE)
endif()

find_package(Threads REQUIRED)

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow)
if(CALLBOARD_WERROR)
  add_compile_options(-Werror)
endif()

if(CALLBOARD_SANITIZE)
  add_compile_options(-fsanitize=${CALLBOARD_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CALLBOARD_SANITIZE})
  if(CALLBOARD_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)  # Asio uses fences, which g++ warns about and TSan then ignores
  endif()
endif()

if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(CALLBOARD_CCACHE ccache)
  if(CALLBOARD_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CALLBOARD_CCACHE}")
  endif()
endif()

# The fastest linker that is there. LLVM's own tools need no check: both compilers know both names.
find_program(CALLBOARD_MOLD mold)
find_program(CALLBOARD_LLD ld.lld)
if(CALLBOARD_MOLD)
  add_link_options(-fuse-ld=mold)
elseif(CALLBOARD_LLD)
  add_link_options(-fuse-ld=lld)
endif()
