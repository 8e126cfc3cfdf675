# ft_embed(TARGET array FILE...): compiles the files of the current folder into the target as the table `array` of common/embedded.h,
# in the order given; they are edited as themselves and compiled in anew when they change. Needs no tool but CMake, which runs this
# file again as a script to write the bytes as C.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  function(ft_embed target array)
    list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${array}.c)
    add_custom_command(OUTPUT ${out}
      COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DARRAY=${array} "-DFILES=${files}" -P ${CMAKE_SOURCE_DIR}/cmake/ft_embed.cmake
      DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/ft_embed.cmake VERBATIM)
    target_sources(${target} PRIVATE ${out})
  endfunction()
  return()
endif()

set(bytes_of_files "")
set(rows "")
set(n 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND bytes_of_files "static const unsigned char file_${n}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${name}\", (const char *)file_${n}, sizeof file_${n} - 1},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUT} "#include \"common/embedded.h\"\n\nextern const ft_embedded ${ARRAY}[];\n${bytes_of_files}\nconst ft_embedded ${ARRAY}[] = {\n${rows}    {0}};\n")
