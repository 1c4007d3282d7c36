# SPDX-License-Identifier: Apache-2.0
#
# remora_options_file(SOURCE): the one file of a program that parses its command line with CLI11.
# It runs once, and optimising it takes three times as long as compiling it.
function(remora_options_file source)
  set_source_files_properties(${source} PROPERTIES
    COMPILE_OPTIONS -O0 SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
