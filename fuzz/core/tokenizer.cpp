// A tokenizer.gguf with the expressions in it, and a text of tokens.
#include "text/tokenizer.h"

#include "target.h"

namespace {

const Target tokenizer_target("tokenizer", [](const std::string &data) {
  const auto tokenizer = se::Tokenizer::from_file(file_with(data));
  const std::vector<int32_t> tokens = tokenizer.tokenize("Hello <s> wörld\n12,345", true, true);
  tokenizer.detokenize(tokens, true);
  tokenizer.reserved_texts(tokenizer.chat_template());
});

}  // namespace
