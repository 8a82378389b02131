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

# Small objects are zeroed by plain stores: g++ would take "rep stos", which costs as much as a
# whole look-up before it begins.
include(CheckCXXCompilerFlag)
set(callboard_memset -mmemset-strategy=unrolled_loop:512:noalign,libcall:-1:noalign)
check_cxx_compiler_flag("${callboard_memset}" CALLBOARD_HAS_MEMSET_STRATEGY)
if(CALLBOARD_HAS_MEMSET_STRATEGY)
  add_compile_options("${callboard_memset}")
endif()

# Where the processor can: memory that is written soon is asked for to be written
# (common/prefetch.hpp). Every x86-64 knows the instruction; old ones do nothing for it.
check_cxx_compiler_flag(-mprfchw CALLBOARD_HAS_PREFETCH_TO_WRITE)
if(CALLBOARD_HAS_PREFETCH_TO_WRITE)
  add_compile_options(-mprfchw)
endif()

# Nobody replaces a function of ours by another library's of the same name. g++ reckons with it in
# code that may be loaded at any address, and inlines none that other sources can call.
check_cxx_compiler_flag(-fno-semantic-interposition CALLBOARD_HAS_NO_SEMANTIC_INTERPOSITION)
if(CALLBOARD_HAS_NO_SEMANTIC_INTERPOSITION)
  add_compile_options(-fno-semantic-interposition)
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
    # What one checkout has compiled serves every other: paths count from the checkout's root.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
        "${CALLBOARD_CCACHE}")
    add_compile_options("-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=")
  endif()
endif()

# Sources of a target are compiled in groups: most of the time goes into headers and templates that
# they share. The dev preset compiles one by one, which is quicker after a small change.
if(NOT DEFINED CMAKE_UNITY_BUILD)
  if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CALLBOARD_SANITIZE)
    set(CMAKE_UNITY_BUILD ON)
  else()
    set(CMAKE_UNITY_BUILD OFF)
  endif()
endif()
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Said of anonymous namespaces in anything but the main file, which is right for headers only.
  add_compile_options(-Wno-subobject-linkage)
endif()

# The fastest linker that is there. LLVM's own tools need no check: both compilers know both names.
find_program(CALLBOARD_MOLD mold)
find_program(CALLBOARD_LLD ld.lld)
if(CALLBOARD_MOLD)
  add_link_options(-fuse-ld=mold)
elseif(CALLBOARD_LLD)
  add_link_options(-fuse-ld=lld)
endif()
