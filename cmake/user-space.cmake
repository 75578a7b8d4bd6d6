# Flags and libraries of everything that runs in user space (daemons, tools, unit tests).
# A target takes them all by linking `duet_user`.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(duet_user INTERFACE)
target_compile_options(duet_user INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -fstack-protector-strong -fno-common)
target_compile_definitions(duet_user INTERFACE _GNU_SOURCE DUET_VERSION="${PROJECT_VERSION}")

if(DUET_SANITIZE)
  target_compile_options(duet_user INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(duet_user INTERFACE -fsanitize=address,undefined)
else()
  target_compile_definitions(duet_user INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
endif()
