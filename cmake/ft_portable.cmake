# cmake -DPROGRAM=file -DFOLDER=folder -DSTRIP=strip -P ft_portable.cmake: writes the stripped program to the folder and beside it
# every shared library it needs but those of libc, which every machine has.
file(MAKE_DIRECTORY ${FOLDER})
get_filename_component(name ${PROGRAM} NAME)
execute_process(COMMAND ${STRIP} -o ${FOLDER}/${name} ${PROGRAM} RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${STRIP} ${PROGRAM} failed")
endif()
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${PROGRAM} RESOLVED_DEPENDENCIES_VAR libraries
  PRE_EXCLUDE_REGEXES "^(libc|libm|libdl|librt|libpthread)\\.so" "^ld-linux" "^linux-vdso")
foreach(library IN LISTS libraries)
  get_filename_component(real ${library} REALPATH)
  get_filename_component(soname ${library} NAME)
  configure_file(${real} ${FOLDER}/${soname} COPYONLY)
endforeach()
