// Answers a prompt with images by llama.cpp's and mtmd's own helpers, as its mtmd-cli does: what ours is compared
// with. Prints the prompt's number of tokens and the ids of greedily chosen ones.
//
//   mtmd-reference MODEL.gguf MMPROJ.gguf "text with <__media__>" COUNT IMAGE…
#include <llama.h>
#include <mtmd-helper.h>
#include <mtmd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

[[noreturn]] void fail(const char *what) {
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

}  // namespace

int main(int count, char **words) {
  if (count < 5) fail("MODEL MMPROJ PROMPT COUNT IMAGE…");
  llama_model_params model_parameters = llama_model_default_params();
  model_parameters.n_gpu_layers = 0;
  llama_model *model = llama_model_load_from_file(words[1], model_parameters);
  if (model == nullptr) fail("the model");
  mtmd_context_params parameters = mtmd_context_params_default();
  parameters.use_gpu = false;
  parameters.n_threads = 2;
  const mtmd::context_ptr mtmd(mtmd_init_from_file(words[2], model, parameters));
  if (!mtmd) fail("the mmproj");
  llama_context_params context_parameters = llama_context_default_params();
  context_parameters.n_ctx = 4096;
  context_parameters.n_batch = context_parameters.n_ubatch = 512;
  context_parameters.n_threads = context_parameters.n_threads_batch = 2;
  context_parameters.swa_full = true;
  llama_context *context = llama_init_from_model(model, context_parameters);
  if (context == nullptr) fail("the context");

  std::vector<const mtmd_bitmap *> bitmaps;
  for (int i = 5; i < count; ++i) {
    bitmaps.push_back(
        mtmd_helper_bitmap_init_from_file(mtmd.get(), words[i], false, mtmd_helper_init_opt_default()).bitmap);
    if (bitmaps.back() == nullptr) fail(words[i]);
  }
  const std::string prompt = words[3];
  const mtmd_input_text text = {prompt.data(), prompt.size(), true, true};
  const mtmd::input_chunks chunks(mtmd_input_chunks_init());
  if (mtmd_tokenize(mtmd.get(), chunks.ptr.get(), &text, bitmaps.data(), bitmaps.size()) != 0) fail("the prompt");
  llama_pos past = 0;
  if (mtmd_helper_eval_chunks(mtmd.get(), context, chunks.ptr.get(), 0, 0, 512, true, &past) != 0) fail("the chunks");
  std::printf("%zu\n", mtmd_helper_get_n_tokens(chunks.ptr.get()));

  const int32_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  llama_batch batch = llama_batch_init(1, 0, 1);
  for (int i = 0; i < std::atoi(words[4]); ++i) {
    const float *logits = llama_get_logits_ith(context, -1);
    const auto token = static_cast<llama_token>(std::max_element(logits, logits + vocabulary) - logits);
    std::printf("%d\n", token);
    batch.n_tokens = 1;
    batch.token[0] = token;
    batch.pos[0] = past++;
    batch.n_seq_id[0] = 1;
    batch.seq_id[0][0] = 0;
    batch.logits[0] = 1;
    if (llama_decode(context, batch) != 0) fail("a token");
  }
  for (const mtmd_bitmap *bitmap : bitmaps) mtmd_bitmap_free(const_cast<mtmd_bitmap *>(bitmap));
  llama_batch_free(batch);
  llama_free(context);
  llama_model_free(model);
  return 0;
}
