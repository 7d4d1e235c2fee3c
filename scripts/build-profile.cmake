# What to build, asked of scripts/build-profile: included before project(), so that a wrong choice ends the
# configuration within a second, before a compiler was looked for.

# sandstore_resolve(<prefix> NAME=VALUE...): sets <prefix>_PROFILE, _BUILD, _PARTS and one for each option. What is
# wrong ends the configuration. <prefix>_REMARKS is what people should be told.
function(sandstore_resolve prefix)
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/build-profile --selection --also "${SANDSTORE_OTHER_SETTINGS}"
                            ${ARGN}
                    OUTPUT_VARIABLE selection ERROR_VARIABLE remarks RESULT_VARIABLE failed)
    if(failed)
        sandstore_forget_choices()
        string(REPLACE "build-profile: " "  " remarks "${remarks}")  # CMake breaks lines that do not begin with blanks.
        message(FATAL_ERROR "\n${remarks}")
    endif()
    string(REGEX MATCHALL "[A-Z_]+=[^\n]*" lines "${selection}")
    foreach(line ${lines})
        string(REGEX MATCH "^([A-Z_]+)=(.*)$" line "${line}")
        set(${prefix}_${CMAKE_MATCH_1} "${CMAKE_MATCH_2}" PARENT_SCOPE)
    endforeach()
    set(${prefix}_REMARKS "${remarks}" PARENT_SCOPE)
endfunction()

# CMake keeps what was given even when the configuration fails: the next one would fail for a word that nobody wrote.
function(sandstore_forget_choices)
    get_cmake_property(names CACHE_VARIABLES)
    foreach(name ${names})
        if(name MATCHES "^SANDSTORE_" AND NOT name IN_LIST SANDSTORE_OTHER_SETTINGS_LIST)
            unset(${name} CACHE)
        endif()
    endforeach()
endfunction()

# --- The selection of this configuration: SELECTED_PROFILE, SELECTED_COMMUNICATOR, ... -------------------------------
string(REPLACE ";" " " SANDSTORE_OTHER_SETTINGS "${SANDSTORE_OTHER_SETTINGS_LIST}")
get_cmake_property(given CACHE_VARIABLES)
set(choices)
foreach(name ${given})
    if(name MATCHES "^SANDSTORE_")
        string(REPLACE ";" "," value "$CACHE{${name}}")
        list(APPEND choices "${name}=${value}")
    endif()
endforeach()
sandstore_resolve(SELECTED ${choices})
string(STRIP "${SELECTED_REMARKS}" SELECTED_REMARKS)
message(STATUS "${SELECTED_REMARKS}")

execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/build-profile --names OUTPUT_VARIABLE SANDSTORE_CHOICES
                OUTPUT_STRIP_TRAILING_WHITESPACE)
separate_arguments(SANDSTORE_CHOICES)
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/build-profile --values OUTPUT_VARIABLE SANDSTORE_VALUES
                OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REPLACE "\n" ";" SANDSTORE_VALUES "${SANDSTORE_VALUES}")
foreach(name ${SANDSTORE_CHOICES})
    set(SANDSTORE_${name} "" CACHE STRING "${name}: see scripts/build-profile --profiles; empty: as the profile says")
endforeach()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS scripts/profiles.txt scripts/build-profile
             scripts/build-profile.awk)
