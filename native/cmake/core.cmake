# Our own library, its runner and its tests.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)

# What belongs to us finds its libraries beside itself, wherever the folder is copied to.
set(CMAKE_SKIP_BUILD_RPATH ON)

function(se_own_target target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror)
  if(SE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${SE_SANITIZE} -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer -g)
    if(SE_SANITIZE STREQUAL "thread" AND SE_SANITIZER_RUNTIME)
      # zig has a ThreadSanitizer of its own and would put one into each file that it links: two in a process end it.
      # gcc's does not know clang's names for memcpy and memset; it watches libc's.
      target_compile_options(${target} PRIVATE "SHELL:-mllvm -tsan-instrument-memintrinsics=0")
    else()
      target_link_options(${target} PRIVATE -fsanitize=${SE_SANITIZE})
    endif()
    if(SE_SANITIZER_RUNTIME)
      target_link_libraries(${target} PRIVATE "${SE_SANITIZER_RUNTIME}")
    endif()
  elseif(NOT APPLE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    # zig writes debug information also when optimizing: 60 MB of it.
    target_link_options(${target} PRIVATE -Wl,-s)
  endif()
endfunction()

include(cmake/batch.cmake)

# The check for CPU features must itself run without them.
if(NOT SE_BASELINE_FLAGS)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    set(SE_BASELINE_FLAGS -march=armv8-a)
  else()
    set(SE_BASELINE_FLAGS -march=x86-64)
  endif()
endif()
set_source_files_properties(src/base/cpu_features.c src/base/library_gate.c runner/cpu_gate.c PROPERTIES
                            COMPILE_OPTIONS "${SE_BASELINE_FLAGS};-fno-builtin")

if(SE_STATIC)
  set(library_kind STATIC)
  add_compile_definitions(SE_STATIC)
else()
  set(library_kind SHARED)
endif()
add_library(sphere_edge ${library_kind}
  src/base/cpu_features.c
  src/base/cpu_features_needed.c
  src/base/library_gate.c)
# The curve on which signatures are checked.
target_sources(sphere_edge PRIVATE "${SE_MONOCYPHER_DIR}/monocypher.c")
set_source_files_properties("${SE_MONOCYPHER_DIR}/monocypher.c" PROPERTIES COMPILE_OPTIONS "-w")
target_include_directories(sphere_edge SYSTEM PRIVATE "${SE_MONOCYPHER_DIR}")
se_add_batch(sphere_edge
  src/api/general_calls.cpp
  src/api/info.cpp
  src/api/text_calls.cpp
  src/base/base64.cpp
  src/base/cpu.cpp
  src/base/ed25519.cpp
  src/base/file.cpp
  src/base/json.cpp
  src/base/log.cpp
  src/base/memory_limit.cpp
  src/base/sha256.cpp
  src/base/sha512.cpp
  src/base/status.cpp
  src/base/utf8.cpp
  src/engines/backend_order.cpp
  src/engines/template_limits.cpp
  src/engines/vocabulary.cpp
  src/formats/bundle.cpp
  src/formats/ggml_reader.cpp
  src/formats/gguf.cpp
  src/formats/gguf_sampling.cpp
  src/formats/image_encoder_file.cpp
  src/formats/safetensors.cpp
  src/formats/trusted_keys.cpp
  src/formats/validation_result.cpp
  src/formats/whisper_file.cpp)
set(schema_sources
  src/text/decimal.cpp
  src/text/ecma_pattern.cpp
  src/text/grammar_rules.cpp
  src/text/regex.cpp
  src/text/schema_cases.cpp
  src/text/schema_grammar.cpp
  src/text/schema_keywords.cpp
  src/text/schema_numbers.cpp
  src/text/schema_reader.cpp
  src/text/schema_values.cpp
  src/text/string_formats.cpp)
se_add_cold_batch(sphere_edge ${schema_sources})
se_add_batch(sphere_edge
  src/text/chat_messages.cpp
  src/text/chat_request.cpp
  src/text/draft_model.cpp
  src/text/embedding.cpp
  src/text/grammar.cpp
  src/text/grammar_position.cpp
  src/text/input_marks.cpp
  src/text/logprobs.cpp
  src/text/output_stream.cpp
  src/text/parsed_grammar.cpp
  src/text/pattern.cpp
  src/text/image_numbers.cpp
  src/text/pre_tokenizer.cpp
  src/text/prefill.cpp
  src/text/prompt_lookup.cpp
  src/text/reasoning.cpp
  src/text/response.cpp
  src/text/sampler.cpp
  src/text/saved_sequence.cpp
  src/text/scheduler.cpp
  src/text/sequences.cpp
  src/text/speculation.cpp
  src/text/text_manager.cpp
  src/text/text_pieces.cpp
  src/text/tokenizer.cpp
  src/text/tool_messages.cpp
  src/text/unicode.cpp)
se_own_target(sphere_edge)
set_target_properties(sphere_edge PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
target_include_directories(sphere_edge PUBLIC include PRIVATE src)
# Two of our files read tables that llama.cpp does not export: its architectures and its grammar parser.
target_include_directories(sphere_edge SYSTEM PRIVATE "${SE_LLAMA_CPP_DIR}/src")
target_compile_definitions(sphere_edge PRIVATE SE_VERSION="${PROJECT_VERSION}")
target_link_libraries(sphere_edge PRIVATE se_engines)

# What stands for parts that are not built in: for those of text apart, which is then the same in builds with and
# without the other managers, and compiled once.
set(absent "")
set(absent_managers "")

if("llama" IN_LIST SE_PARTS)
  target_sources(sphere_edge PRIVATE src/engines/llama_engine.cpp src/engines/llama_state.cpp src/engines/ggml_device.cpp
                                     src/engines/mtmd_encoder.cpp src/engines/thread_count.cpp)
  # For these files alone, so that all others are compiled once for builds with llama.cpp and without it.
  set_source_files_properties(src/engines/llama_engine.cpp src/engines/mtmd_encoder.cpp PROPERTIES COMPILE_OPTIONS
                              "-isystem;${SE_LLAMA_CPP_VISION_DIR}/tools/mtmd")
  set(ggml_gpu SE_GGML_GPU="${SE_GGML_GPU}")
  if(SE_GGML_GPU STREQUAL "cuda")
    list(APPEND ggml_gpu SE_WITH_GGML_CUDA)
  endif()
  # For this file alone, so that all others are the same whichever backend ggml has.
  set_source_files_properties(src/engines/ggml_device.cpp PROPERTIES COMPILE_DEFINITIONS "${ggml_gpu}")
else()
  list(APPEND absent src/engines/gguf_engine_absent.cpp)
endif()

if("chat" IN_LIST SE_PARTS)
  set(chat_sources
    src/text/call_or_text_parser.cpp
    src/text/chat_format.cpp
    src/text/chat_response_parser.cpp
    src/text/chat_schemas.cpp
    src/text/function_gemma_calls.cpp
    src/text/function_gemma_grammar.cpp
    src/text/gemma_calls.cpp
    src/text/grammar_text.cpp
    src/text/json_texts.cpp)
  se_add_batch(sphere_edge ${chat_sources})
else()
  list(APPEND absent src/text/chat_format_absent.cpp)
endif()

if(SE_TVM_DIR)
  se_add_batch(sphere_edge
    src/base/thread_pool.cpp
    src/tvm/kernel_trace.cpp
    src/tvm/library.cpp
    src/tvm/loops.cpp
    src/tvm/objects.cpp
    src/tvm/tvm_engine.cpp
    src/tvm/cuda_api.cpp
    src/tvm/cuda_backend.cpp
    src/tvm/cuda_device.cpp
    src/tvm/cuda_program.cpp
    src/tvm/device_backend.cpp
    src/tvm/gpu_cache.cpp
    src/tvm/gpu_code.cpp
    src/tvm/gpu_failure.cpp
    src/tvm/opencl_api.cpp
    src/tvm/opencl_backend.cpp
    src/tvm/opencl_device.cpp
    src/tvm/opencl_kernels.cpp
    src/tvm/opencl_plugin.cpp
    src/tvm/opencl_program.cpp)
  if(APPLE)
    target_sources(sphere_edge PRIVATE src/tvm/metal_api.cpp src/tvm/metal_backend.cpp src/tvm/metal_device.cpp
                                       src/tvm/metal_program.cpp)
  endif()
  target_include_directories(sphere_edge SYSTEM PRIVATE "${SE_TVM_FFI_DIR}/include" "${SE_TVM_DIR}/include")
  target_compile_definitions(sphere_edge PRIVATE SE_WITH_TVM)
else()
  list(APPEND absent src/tvm/tvm_engine_absent.cpp)
endif()
if(SE_TVM_DIR AND SE_TVM_FROM_SOURCE)
  include(cmake/tvm_runtime.cmake)
  target_sources(sphere_edge PRIVATE src/tvm/elf_loader.cpp)
  target_compile_definitions(sphere_edge PRIVATE SE_TVM_FROM_SOURCE TVM_FFI_CMAKE_LITTLE_ENDIAN=1)
  if(NOT SE_STATIC)
    se_link_tvm_runtime(sphere_edge)
  endif()
elseif(SE_TVM_DIR)
  # Nothing calls libtvm_runtime by name: loading it registers what compiled modules need.
  target_link_options(sphere_edge PRIVATE -Wl,--no-as-needed "-Wl,-rpath,$ORIGIN")
  target_link_libraries(sphere_edge PRIVATE "${SE_TVM_FFI_LIBRARY}" "${SE_TVM_RUNTIME_LIBRARY}")
endif()

if("whisper" IN_LIST SE_PARTS)
  se_add_batch(sphere_edge
    src/api/audio_calls.cpp
    src/audio/audio_manager.cpp
    src/audio/audio_stream.cpp
    src/audio/transcript_run.cpp
    src/formats/vad_file.cpp)
else()
  list(APPEND absent_managers src/api/audio_absent.cpp)
endif()

if("diffusion" IN_LIST SE_PARTS)
  se_add_batch(sphere_edge src/image/image_manager.cpp src/image/prompt_text.cpp src/api/image_calls.cpp)
else()
  list(APPEND absent_managers src/api/image_absent.cpp)
endif()
foreach(batch absent absent_managers)
  if(${batch})
    se_add_batch(sphere_edge ${${batch}})
  endif()
endforeach()

# The application sees se_* and nothing of the engines, or two copies of ggml in one process would collide.
if(APPLE)
  # Engines name functions of parts that are not linked, in functions that nothing calls.
  target_link_options(sphere_edge PRIVATE -Wl,-dead_strip)
endif()
if(NOT APPLE AND NOT SE_STATIC)
  target_link_options(sphere_edge PRIVATE -Wl,--gc-sections
                      "-Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/cmake/exports.map")
  set_property(TARGET sphere_edge APPEND PROPERTY LINK_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/cmake/exports.map")
  if(NOT SE_SANITIZE)
    target_link_options(sphere_edge PRIVATE -Wl,-z,defs)
  endif()
endif()
if(ANDROID)
  # Google Play requires libraries that load on devices with 16 KB pages.
  target_link_options(sphere_edge PRIVATE -Wl,-z,max-page-size=16384)
endif()

if(NOT SE_STARTER)
  include(cmake/runner.cmake)
endif()

if(SE_TOOLS AND "llama" IN_LIST SE_PARTS)
  # A program and no call of the library: devices never quantize.
  add_executable(sphere-edge-quantize tools/quantize.cpp)
  se_own_target(sphere-edge-quantize)
  set_target_properties(sphere-edge-quantize PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  target_link_libraries(sphere-edge-quantize PRIVATE se_engines)
  if(NOT APPLE)
    target_link_options(sphere-edge-quantize PRIVATE -Wl,--gc-sections)
  endif()
endif()

if(SE_TESTS)
  find_package(Threads REQUIRED)
  # A program of ours in bin/, which finds the library in lib/ beside it.
  function(se_add_test name)
    add_executable(${name} ${ARGN})
    se_own_target(${name})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
    if(NOT APPLE)
      target_link_options(${name} PRIVATE "-Wl,-rpath,$ORIGIN:$ORIGIN/../lib")
    endif()
  endfunction()

  # One in C, which calls the C API.
  function(se_add_c_test name)
    se_add_test(${name} ${ARGN})
    target_compile_options(${name} PRIVATE -Wpedantic -Wstrict-prototypes)
    target_link_libraries(${name} PRIVATE sphere_edge Threads::Threads m)
  endfunction()

  se_add_c_test(sphere-edge-test tests/test_sphere_edge.c tests/cases.c tests/image_cases.c tests/calls.c)

  se_add_test(old-caller-test tests/old_caller.c)
  target_include_directories(old-caller-test PRIVATE tests)
  target_link_libraries(old-caller-test PRIVATE sphere_edge m)

  if("whisper" IN_LIST SE_PARTS)
    se_add_c_test(audio-test tests/test_audio.c)
    # Straight from the engine: the C API shows no logits of speech.
    se_add_test(whisper-logits tests/whisper_logits.cpp)
    target_link_libraries(whisper-logits PRIVATE se_engines)
    if(SE_WHISPER_EXAMPLES_DIR)
      # whisper.cpp's own programs on the same ggml, to compare with.
      set(examples "${SE_WHISPER_EXAMPLES_DIR}")
      add_executable(whisper-cli "${examples}/cli/cli.cpp" "${examples}/common.cpp" "${examples}/common-whisper.cpp"
                                 "${examples}/grammar-parser.cpp")
      add_executable(whisper-quantize "${examples}/quantize/quantize.cpp" "${examples}/common.cpp"
                                      "${examples}/common-ggml.cpp")
      foreach(program whisper-cli whisper-quantize)
        set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
        target_compile_options(${program} PRIVATE -w)
        target_include_directories(${program} SYSTEM PRIVATE "${examples}")
        target_link_libraries(${program} PRIVATE se_engines)
      endforeach()
    endif()
  endif()

  if("whisper" IN_LIST SE_PARTS AND "diffusion" IN_LIST SE_PARTS)
    se_add_c_test(managers-test tests/test_managers.c)
  endif()

  if("chat" IN_LIST SE_PARTS AND SE_LLAMA_TESTS_DIR)
    set(vocabulary_sources src/base/file.cpp src/base/json.cpp src/base/log.cpp src/base/memory_limit.cpp
      src/base/status.cpp src/base/utf8.cpp src/engines/template_limits.cpp src/engines/vocabulary.cpp src/formats/gguf.cpp
      src/text/input_marks.cpp
      src/text/pattern.cpp src/text/pre_tokenizer.cpp src/text/text_pieces.cpp src/text/tokenizer.cpp src/text/unicode.cpp
      src/base/cpu_features.c src/base/cpu_features_needed.c src/base/library_gate.c)
    add_executable(forged-tokens-test tests/test_forged_tokens.cpp ${vocabulary_sources})
    se_own_target(forged-tokens-test)
    add_executable(long-texts-test tests/test_long_texts.cpp ${vocabulary_sources})
    se_own_target(long-texts-test)
    add_executable(chat-formats-test tests/test_chat_formats.cpp ${chat_sources} ${schema_sources}
      src/text/chat_messages.cpp src/text/chat_request.cpp src/text/grammar.cpp src/text/grammar_position.cpp
      src/text/parsed_grammar.cpp src/text/reasoning.cpp src/text/tool_messages.cpp
      ${vocabulary_sources})
    se_own_target(chat-formats-test)
    # llama.cpp's own tests of its chat code, and the parts of its server that they call.
    add_executable(llama-test-chat "${SE_LLAMA_TESTS_DIR}/tests/test-chat.cpp"
      "${SE_LLAMA_TESTS_DIR}/tools/server/server-chat.cpp" "${SE_LLAMA_TESTS_DIR}/tools/server/server-common.cpp")
    add_executable(llama-test-chat-auto-parser "${SE_LLAMA_TESTS_DIR}/tests/test-chat-auto-parser.cpp")
    foreach(program llama-test-chat llama-test-chat-auto-parser)
      target_sources(${program} PRIVATE tests/llama_chat_support.cpp src/engines/template_limits.cpp src/base/memory_limit.cpp
        src/base/status.cpp src/base/cpu_features.c src/base/cpu_features_needed.c src/base/library_gate.c)
      target_compile_options(${program} PRIVATE -w)
      target_include_directories(${program} SYSTEM PRIVATE "${SE_LLAMA_TESTS_DIR}/tests"
        "${SE_LLAMA_TESTS_DIR}/tools/server" "${SE_LLAMA_TESTS_DIR}/tools/mtmd")
      target_link_options(${program} PRIVATE -Wl,-s)
    endforeach()
    add_executable(grammars-test tests/test_grammars.cpp src/text/call_or_text_parser.cpp src/text/grammar_position.cpp
      src/text/parsed_grammar.cpp ${vocabulary_sources})
    se_own_target(grammars-test)
    foreach(program chat-formats-test forged-tokens-test grammars-test long-texts-test llama-test-chat
            llama-test-chat-auto-parser)
      set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
      target_include_directories(${program} PRIVATE include src)
      target_include_directories(${program} SYSTEM PRIVATE "${SE_LLAMA_CPP_DIR}/src")
      target_compile_definitions(${program} PRIVATE SE_VERSION="${PROJECT_VERSION}")
      target_link_libraries(${program} PRIVATE se_engines)
      target_link_options(${program} PRIVATE -Wl,--gc-sections)
    endforeach()
  endif()

  if("vision" IN_LIST SE_PARTS)
    # mtmd's own helpers, which the library does without: they read files of images.
    set(mtmd "${SE_LLAMA_CPP_VISION_DIR}/tools/mtmd")
    set(hash "${SE_LLAMA_CPP_DIR}/vendor/hash")
    set_source_files_properties("${hash}/sha1/sha1.c" PROPERTIES LANGUAGE CXX)
    add_executable(mtmd-reference tests/mtmd_reference.cpp "${mtmd}/mtmd-helper.cpp" "${hash}/hash.cpp"
      "${hash}/sha1/sha1.c" "${hash}/sha256/sha256.c" "${hash}/xxhash/xxhash.c")
    target_compile_options(mtmd-reference PRIVATE -w)
    target_include_directories(mtmd-reference SYSTEM PRIVATE "${mtmd}" "${hash}")
    set_target_properties(mtmd-reference PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
    target_link_libraries(mtmd-reference PRIVATE se_engines)
    target_link_options(mtmd-reference PRIVATE -Wl,--gc-sections -Wl,-s)
  endif()

  se_add_c_test(sequences-test tests/test_sequences.c)

  se_add_test(thread-pool-test tests/test_thread_pool.cpp src/base/thread_pool.cpp)
  target_include_directories(thread-pool-test PRIVATE src)
  target_link_libraries(thread-pool-test PRIVATE Threads::Threads)

  se_add_test(no-memory-test tests/test_no_memory.cpp src/base/cpu_features.c src/base/cpu_features_needed.c
    src/base/library_gate.c src/base/status.cpp)
  target_include_directories(no-memory-test PRIVATE src include)

  se_add_test(prompt-lookup-test tests/test_prompt_lookup.cpp src/text/prompt_lookup.cpp)
  target_include_directories(prompt-lookup-test PRIVATE src include)

  se_add_test(thread-count-test tests/test_thread_count.cpp src/engines/thread_count.cpp)
  target_include_directories(thread-count-test PRIVATE src include)

  se_add_test(sha256-test tests/test_sha256.cpp src/base/sha256.cpp)
  target_include_directories(sha256-test PRIVATE src)

  se_add_test(ed25519-test tests/test_ed25519.cpp src/base/base64.cpp src/base/ed25519.cpp src/base/sha256.cpp
    src/base/sha512.cpp "${SE_MONOCYPHER_DIR}/monocypher.c")
  target_include_directories(ed25519-test PRIVATE src)
  target_include_directories(ed25519-test SYSTEM PRIVATE "${SE_MONOCYPHER_DIR}")

  se_add_test(trusted-keys-test tests/test_trusted_keys.cpp src/base/base64.cpp src/base/cpu.cpp src/base/cpu_features.c
    src/base/cpu_features_needed.c src/base/ed25519.cpp src/base/file.cpp src/base/json.cpp src/base/library_gate.c
    src/base/sha256.cpp src/base/sha512.cpp src/base/status.cpp src/formats/bundle.cpp src/formats/trusted_keys.cpp
    "${SE_MONOCYPHER_DIR}/monocypher.c")
  target_include_directories(trusted-keys-test PRIVATE include src)
  target_include_directories(trusted-keys-test SYSTEM PRIVATE "${SE_LLAMA_CPP_DIR}/vendor" "${SE_MONOCYPHER_DIR}")

  se_add_test(output-stream-test tests/test_output_stream.cpp src/text/output_stream.cpp src/base/utf8.cpp)
  target_include_directories(output-stream-test PRIVATE include src)
endif()
