# What `cmake --install` and `cpack` write, all of it below the prefix and none of it bound to where that is: a prefix may be moved.
# Manual pages and completions are written by the programs themselves, from the tables they work by.
set(ft_manual ${CMAKE_BINARY_DIR}/manual)
set(ft_completions ${CMAKE_BINARY_DIR}/completions)

add_custom_command(OUTPUT ${ft_manual}/stamp
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${ft_manual}
  COMMAND ft-single --manual ${ft_manual}
  COMMAND ft-bench --manual ${ft_manual}
  COMMAND ${CMAKE_COMMAND} -E touch ${ft_manual}/stamp
  DEPENDS ft-single ft-bench VERBATIM)
foreach(program ft-single ft-bench)
  set(scripts ${ft_completions}/bash/${program} ${ft_completions}/zsh/_${program} ${ft_completions}/fish/${program}.fish)
  add_custom_command(OUTPUT ${scripts}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${ft_completions}/bash ${ft_completions}/zsh ${ft_completions}/fish
    COMMAND ${program} completion bash > ${ft_completions}/bash/${program}
    COMMAND ${program} completion zsh > ${ft_completions}/zsh/_${program}
    COMMAND ${program} completion fish > ${ft_completions}/fish/${program}.fish
    DEPENDS ${program} VERBATIM)
  list(APPEND ft_completion_files ${scripts})
endforeach()
add_custom_target(ft_product ALL DEPENDS ${ft_manual}/stamp ${ft_completion_files})

# A build tree has the shape of a prefix: bin/ft-single finds share/ft-single/configs beside itself.
file(RELATIVE_PATH ft_data_from_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_DATADIR})
get_filename_component(ft_tree_data ${CMAKE_BINARY_DIR}/bin/${ft_data_from_bin}/ft-single ABSOLUTE)
file(MAKE_DIRECTORY ${ft_tree_data})
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/configs ${ft_tree_data}/configs SYMBOLIC)

# Libraries that have no archive to link (libudev) go into a folder of our own: in lib itself they would be everybody's.
if(FT_STATIC_DEPS)
  set(ft_private_libraries ${CMAKE_INSTALL_LIBDIR}/ft-single)
  file(RELATIVE_PATH ft_libraries_from_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_PREFIX}/${ft_private_libraries})
  set_target_properties(ft-single ft-bench PROPERTIES INSTALL_RPATH "\$ORIGIN/${ft_libraries_from_bin}")
  install(TARGETS ft-single ft-bench
    RUNTIME_DEPENDENCIES PRE_EXCLUDE_REGEXES "^(libc|libm|libdl|librt|libpthread)\\.so" "^ld-linux" "^linux-vdso"
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    LIBRARY DESTINATION ${ft_private_libraries})
else()
  # Libraries outside the system's folders are found where they were linked.
  set_target_properties(ft-single ft-bench PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS ft-single ft-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/ft-single/configs PATTERN __pycache__ EXCLUDE)
install(PROGRAMS scripts/plot-loss DESTINATION ${CMAKE_INSTALL_DATADIR}/ft-single)
install(FILES LICENSE README.md BENCHMARKS.md CONTRIBUTING.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(DIRECTORY ${ft_manual}/man1 ${ft_manual}/man5 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(DIRECTORY ${ft_completions}/bash/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(DIRECTORY ${ft_completions}/zsh/ DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(DIRECTORY ${ft_completions}/fish/ DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

string(TOLOWER ${CMAKE_SYSTEM_NAME} ft_system)
set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_FILE_NAME ft-single-${PROJECT_VERSION}-${ft_system}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_STRIP_FILES ON)
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_VERBATIM_VARIABLES ON)
include(CPack)
