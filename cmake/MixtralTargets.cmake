# Compiler settings of every target, and mixtral_folder(): one library per folder of src/.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(Threads REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(tl-expected REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(xxhash 0.8 REQUIRED)

add_library(mixtral_settings INTERFACE)
# Floating point is exact by the book: no contraction of a*b+c behind our back, so that results do not
# depend on the compiler. Kernels ask for fused operations by name.
target_compile_options(mixtral_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -ffp-contract=off
  $<$<BOOL:${MIXTRAL_WERROR}>:-Werror>)
if(MIXTRAL_SANITIZE)
  target_compile_options(mixtral_settings INTERFACE
    -fsanitize=${MIXTRAL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mixtral_settings INTERFACE -fsanitize=${MIXTRAL_SANITIZE})
endif()
if(MIXTRAL_BUILD_FUZZERS)  # the library counts which branches an input reaches; the harnesses bring main()
  target_compile_options(mixtral_settings INTERFACE -fsanitize=fuzzer-no-link)
endif()

# mixtral_precompile(TARGET OWNER header...): the headers are parsed once, for OWNER, and read by TARGET. Only with
# MIXTRAL_PCH: a build without it proves that every file includes what it needs.
function(mixtral_precompile target owner)
  if(NOT MIXTRAL_PCH)
    return()
  endif()
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE
      <algorithm> <filesystem> <map> <memory> <span> <string> <vector> <fmt/format.h> <tl/expected.hpp> ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

# mixtral_folder(NAME folder folder...): the library of src/NAME, made of its sources, which may include
# the headers of the named folders only (tools/check_layers.py holds every #include to it).
function(mixtral_folder name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  add_library(mixtral_${name} OBJECT ${sources})
  target_include_directories(mixtral_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<INSTALL_INTERFACE:include/mixtral>)
  target_link_libraries(mixtral_${name} PUBLIC
    fmt::fmt tl::expected nlohmann_json::nlohmann_json Threads::Threads xxhash::xxhash)
  target_link_libraries(mixtral_${name} PRIVATE $<BUILD_INTERFACE:mixtral_settings>)
  mixtral_precompile(mixtral_${name} mixtral_core)
  foreach(folder IN LISTS ARGN)
    target_include_directories(mixtral_${name} PUBLIC
      $<TARGET_PROPERTY:mixtral_${folder},INTERFACE_INCLUDE_DIRECTORIES>)
  endforeach()
endfunction()
