# SPDX-License-Identifier: Apache-2.0
#
# Chooses what is built and installed: the load balancer's programs, a broker host's, and the lab,
# which runs both. Each is an install component, too:
#   cmake --install build/programs --component broker
include(CMakeDependentOption)

set(REMORA_COMPONENTS lb broker lab CACHE STRING "What is built and installed: lb, broker, lab")

foreach(component IN LISTS REMORA_COMPONENTS)
  if(NOT component MATCHES "^(lb|broker|lab)$")
    message(FATAL_ERROR "REMORA_COMPONENTS names '${component}'; there are lb, broker and lab")
  endif()
endforeach()
if("lab" IN_LIST REMORA_COMPONENTS AND
   NOT ("lb" IN_LIST REMORA_COMPONENTS AND "broker" IN_LIST REMORA_COMPONENTS))
  message(FATAL_ERROR "The lab runs the other components: REMORA_COMPONENTS needs lb and broker")
endif()

foreach(component lb broker lab)
  string(TOUPPER ${component} name)
  if(component IN_LIST REMORA_COMPONENTS)
    set(REMORA_${name} ON)
  else()
    set(REMORA_${name} OFF)
  endif()
endforeach()

# Kinds of hosts. Files that both need, such as remoractl, are part of either component.
set(REMORA_HOSTS ${REMORA_COMPONENTS})
list(REMOVE_ITEM REMORA_HOSTS lab)

# Debug information stays in the build folder: installed programs are a tenth of the size.
option(REMORA_STRIP "Strip what is installed; packages keep the debug information apart" ON)
if(REMORA_STRIP)
  install(CODE "set(CMAKE_INSTALL_DO_STRIP ON)" ALL_COMPONENTS)
endif()
