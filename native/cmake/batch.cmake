# Compiles several files as one, for targets of this project and of engines/.
#
# Headers are most of the work: read once for several files, they take a third of the time. So names in unnamed
# namespaces are unique in a batch. Not cmake's UNITY_BUILD, which writes its files anew in each build folder: zig compiles
# a new file again whatever is in it. These stay in SE_BATCHES_DIR, under the hash of their text.

set(SE_BATCHES_DIR "${CMAKE_BINARY_DIR}/batches" CACHE PATH "where batches of files are kept")

function(se_add_batch target)
  set(text "")
  foreach(file ${ARGN})
    get_filename_component(path "${file}" ABSOLUTE)
    string(APPEND text "#include \"${path}\"\n")
  endforeach()
  string(SHA256 name "${text}")
  set(batch "${SE_BATCHES_DIR}/${name}.cpp")
  if(NOT EXISTS "${batch}")
    # Other builds may be writing the same one.
    string(RANDOM LENGTH 16 beside)
    file(WRITE "${SE_BATCHES_DIR}/.${beside}" "${text}")
    file(RENAME "${SE_BATCHES_DIR}/.${beside}" "${batch}" NO_REPLACE RESULT ignored)
    file(REMOVE "${SE_BATCHES_DIR}/.${beside}")
  endif()
  target_sources(${target} PRIVATE "${batch}")
endfunction()

# One whose speed matters little against the model's: optimized for size it compiles in four fifths of the time.
function(se_add_cold_batch target)
  se_add_batch(${target} ${ARGN})
  get_target_property(sources ${target} SOURCES)
  list(GET sources -1 batch)
  set_source_files_properties("${batch}" PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-Os>")
endfunction()
