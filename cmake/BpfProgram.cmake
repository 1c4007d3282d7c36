# SPDX-License-Identifier: Apache-2.0
#
# add_bpf_program(NAME SOURCE): compiles SOURCE for BPF into
# ${PROJECT_BINARY_DIR}/bpf/NAME.bpf.o and makes the interface library
# NAME_skel, whose header "NAME.skel.h" carries the object inside.
find_program(CLANG NAMES clang clang-14 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
find_program(LLVM_STRIP NAMES llvm-strip llvm-strip-14 REQUIRED)

# clang's BPF target does not look into the multiarch folder, where Debian keeps
# <asm/types.h>.
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-multiarch
                OUTPUT_VARIABLE REMORA_MULTIARCH OUTPUT_STRIP_TRAILING_WHITESPACE)

function(add_bpf_program name source)
  set(object ${PROJECT_BINARY_DIR}/bpf/${name}.bpf.o)
  set(skeleton ${PROJECT_BINARY_DIR}/skel/${name}.skel.h)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/bpf ${PROJECT_BINARY_DIR}/skel)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CLANG} -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror
            -Wno-unused-parameter
            -I${PROJECT_SOURCE_DIR} -isystem /usr/include/${REMORA_MULTIARCH}
            -MD -MF ${object}.d -MT ${object}
            -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
    COMMAND ${LLVM_STRIP} -g ${object}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source}
    DEPFILE ${object}.d
    COMMENT "BPF ${name}.bpf.o"
    VERBATIM)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${BPFTOOL} gen skeleton ${object} name remora_${name} > ${skeleton}
    DEPENDS ${object}
    COMMENT "BPF skeleton ${name}.skel.h"
    VERBATIM)
  add_custom_target(${name}_bpf ALL DEPENDS ${object} ${skeleton})
  add_library(${name}_skel INTERFACE)
  # SYSTEM: generated code is not held to the project's warnings.
  target_include_directories(${name}_skel SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/skel)
  target_link_libraries(${name}_skel INTERFACE PkgConfig::LIBBPF)
  add_dependencies(${name}_skel ${name}_bpf)
endfunction()
