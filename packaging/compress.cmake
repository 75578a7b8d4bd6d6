# Run by CPack before it packs: manual pages are compressed, as Debian's policy asks.
file(GLOB_RECURSE pages ${CPACK_TEMPORARY_DIRECTORY}/*.[1-8])
list(FILTER pages INCLUDE REGEX "/man/man[1-8]/")
foreach(page ${pages})
  execute_process(COMMAND gzip -9 -n ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
