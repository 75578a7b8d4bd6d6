# Debian packages by CPack: `./lab packages`, or `cpack` in the folder of a release build. A package is a component of the
# installation; which one a folder's files belong to, the main CMakeLists.txt says. What is of no component here (the
# tests' programs) is in no package.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "The Duet authors")
set(CPACK_PACKAGE_CONTACT "The Duet authors <duet@packages.invalid>")
set(CPACK_COMPONENTS_ALL backends guest tools driver-domain doc)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# Files for the others to read, whatever the umask of who builds.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# duet_package(COMPONENT): the package duet-COMPONENT. What `apt show` says of it is in COMPONENT/description.
function(duet_package component)
  string(TOUPPER ${component} upper)
  file(READ ${CMAKE_SOURCE_DIR}/packaging/${component}/description description)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME duet-${component} PARENT_SCOPE)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${description}" PARENT_SCOPE)
  set(doc ${CMAKE_INSTALL_DATADIR}/doc/duet-${component})
  install(FILES ${CMAKE_SOURCE_DIR}/packaging/copyright DESTINATION ${doc} COMPONENT ${component})
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz DESTINATION ${doc} COMPONENT ${component})
endfunction()

find_program(GZIP gzip REQUIRED)
execute_process(COMMAND ${GZIP} -9 -n -c ${CMAKE_SOURCE_DIR}/packaging/changelog
  OUTPUT_FILE ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz COMMAND_ERROR_IS_FATAL ANY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/packaging/changelog)

foreach(component ${CPACK_COMPONENTS_ALL})
  duet_package(${component})
endforeach()
# The kernel's TCP/IP is another's work, whose licence asks to be handed on. And it is no program of this system.
install(FILES ${LWIP_SOURCE}/debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/duet-guest
  RENAME copyright.lwip COMPONENT guest)
install(FILES packaging/guest/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides
  RENAME duet-guest COMPONENT guest)

set(CPACK_DEBIAN_BACKENDS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_BACKENDS_PACKAGE_DEPENDS "init-system-helpers (>= 1.54~), systemd, procps, kmod, xenstore-utils, xen-utils-common")
# libmicrohttpd is loaded when metrics are switched on: no program names it, nor qemu-utils,
# whose qemu-nbd serves images that are not raw.
set(CPACK_DEBIAN_BACKENDS_PACKAGE_RECOMMENDS "duet-tools, libmicrohttpd12, qemu-utils")
set(CPACK_DEBIAN_BACKENDS_PACKAGE_CONTROL_EXTRA
  ${CMAKE_SOURCE_DIR}/packaging/backends/postinst ${CMAKE_SOURCE_DIR}/packaging/backends/prerm
  ${CMAKE_SOURCE_DIR}/packaging/backends/postrm ${CMAKE_SOURCE_DIR}/packaging/backends/conffiles)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SUGGESTS "duet-guest")
set(CPACK_DEBIAN_DRIVER-DOMAIN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_DRIVER-DOMAIN_PACKAGE_DEPENDS "duet-backends (>= ${PROJECT_VERSION}), xen-utils-common, busybox, cpio, iproute2, kmod, init-system-helpers (>= 1.54~), systemd")
set(CPACK_DEBIAN_DRIVER-DOMAIN_PACKAGE_CONTROL_EXTRA
  ${CMAKE_SOURCE_DIR}/packaging/driver-domain/postinst ${CMAKE_SOURCE_DIR}/packaging/driver-domain/prerm
  ${CMAKE_SOURCE_DIR}/packaging/driver-domain/postrm)
set(CPACK_DEBIAN_GUEST_PACKAGE_SUGGESTS "xen-utils-common")
set(CPACK_DEBIAN_DOC_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_DOC_PACKAGE_SECTION doc)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/packaging/compress.cmake)
include(CPack)
