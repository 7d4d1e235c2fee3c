# SANDSTORE_STATIC: what the programs are linked with when everything is to be inside them. Defines the same targets
# that the packages' own files define, so that nothing else in CMakeLists.txt has to know. Static archives come from
# Debian, or from scripts/static-libraries (CMAKE_PREFIX_PATH) where Debian has none.
set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
set(Protobuf_USE_STATIC_LIBS ON)
find_package(Protobuf REQUIRED)
find_package(gflags REQUIRED COMPONENTS static)

# sandstore_archive(<target> <archive> <header>): an imported library.
function(sandstore_archive target archive header)
    string(MAKE_C_IDENTIFIER ${target} name)
    find_library(${name}_ARCHIVE NAMES ${archive} REQUIRED)
    find_path(${name}_HEADERS NAMES ${header} PATH_SUFFIXES ${ARGN} REQUIRED)
    add_library(${target} STATIC IMPORTED)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${${name}_ARCHIVE})
    if(NOT ${name}_HEADERS STREQUAL "/usr/include")  # To name it again would change the order of searching.
        target_include_directories(${target} SYSTEM INTERFACE ${${name}_HEADERS})
    endif()
endfunction()

sandstore_archive(jsoncpp_lib libjsoncpp.a json/json.h)
sandstore_archive(PkgConfig::LIBEVENT libevent.a event2/event.h)
sandstore_archive(PkgConfig::ISAL libisal.a isa-l/crc.h)
if(needs_curl)
    sandstore_archive(PkgConfig::LIBCURL libcurl.a curl/curl.h)
    target_compile_definitions(PkgConfig::LIBCURL INTERFACE CURL_STATICLIB)
endif()

# Debian has no static archive of these two, but all of their code is in the headers.
add_library(spdlog::spdlog INTERFACE IMPORTED)
target_compile_definitions(spdlog::spdlog INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)

# Unused functions are left out, addresses stay random (static-pie), and no path of this machine is in the result.
add_compile_options(-ffunction-sections -fdata-sections -ffile-prefix-map=${CMAKE_BINARY_DIR}=.
                    -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
# Warnings are for the ordinary build: with precompiled headers g++ 12 also doubts the system's.
add_compile_options(-w)
add_link_options(-static-pie -Wl,--gc-sections -Wl,-z,relro,-z,now)
# Small rather than fast: a quarter less, and what a node waits for is the disk and the network (docs/images.md).
string(REPLACE "-O2" "-Os" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")  # For others this linker does not know it.
    add_link_options(-Wl,-z,pack-relative-relocs)
endif()
# What the linker took, and from where: scripts/sbom reads it.
add_link_options(-Wl,-Map=$<TARGET_PROPERTY:NAME>.map)
