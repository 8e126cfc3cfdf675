# ft_library(NAME folder-name USES lib...): one static library per folder.
#
# The house rule "who may include whom" is enforced by the include path: every folder is reachable only under its own name
# (#include "io/engine.h") through a directory that holds nothing but a link to it, and a library sees the directories of the
# libraries it USES, and of what those use. An include that points against the graph does not compile.
# Sources are the .c files of the folder and of its SUBDIRS, and what the patterns of MORE match, less what the expressions of
# EXCLUDE match.
function(ft_library name)
  cmake_parse_arguments(ARG "" "" "USES;LINKS;SUBDIRS;MORE;EXCLUDE" ${ARGN})
  set(gate ${CMAKE_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${gate})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${gate}/${name} SYMBOLIC)
  set(patterns ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  foreach(dir IN LISTS ARG_SUBDIRS)
    list(APPEND patterns ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.c)
  endforeach()
  foreach(pattern IN LISTS ARG_MORE)
    list(APPEND patterns ${CMAKE_CURRENT_SOURCE_DIR}/${pattern})
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  foreach(expression IN LISTS ARG_EXCLUDE ITEMS "/main\\.c$")
    list(FILTER sources EXCLUDE REGEX ${expression})
  endforeach()
  if(NOT sources)
    add_library(ft_${name} INTERFACE)
    target_include_directories(ft_${name} INTERFACE ${gate})
    set(scope INTERFACE)
  else()
    add_library(ft_${name} STATIC ${sources})
    target_include_directories(ft_${name} PUBLIC ${gate})
    ft_compile_options(ft_${name})
    set(scope PUBLIC)
  endif()
  foreach(lib IN LISTS ARG_USES)
    target_link_libraries(ft_${name} ${scope} ft_${lib})
  endforeach()
  target_link_libraries(ft_${name} ${scope} ${ARG_LINKS})
endfunction()

# Flags every target of ours is compiled with. -ffp-contract=off: an FMA the compiler may or may not form would make the bits
# of a result depend on inlining; where an FMA is wanted it is written.
function(ft_compile_options target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wshadow;-Wstrict-prototypes;-Wmissing-prototypes;-Wno-unused-parameter;-ffp-contract=off;-fno-math-errno>)
  if(FT_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:-Werror> $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Werror>)
  endif()
  # -lineinfo: the sanitizer and the profiler name source lines; compressed, device code with it is a sixth. FMAs of kernels are
  # formed by the compiler: one build, same bits.
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wno-unused-parameter,-Wno-missing-field-initializers,-fno-exceptions;--expt-relaxed-constexpr;-lineinfo;--compress-mode=size>")
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  # A program is linked by the C compiler although a library of its holds CUDA objects: those want next to nothing of C++'s own.
  get_target_property(type ${target} TYPE)
  if(type STREQUAL EXECUTABLE)
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C)
  endif()
  # Asserts stay on in release: they are cheap where we put them.
  target_compile_options(${target} PRIVATE -UNDEBUG)
endfunction()

if(FT_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "FT_FUZZ=ON needs clang: configure with -DCMAKE_C_COMPILER=clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(FT_SANITIZE)
  add_compile_options(-fsanitize=${FT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FT_SANITIZE})
endif()
