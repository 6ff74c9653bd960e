// A grammar of the user's, and an answer that follows it or not.
#include "text/grammar.h"

#include <cstdlib>

#include "base/status.h"
#include "target.h"

namespace {

const Target grammar_target("grammar", [](const std::string &data) {
  // A tokenizer.gguf, of fuzz/corpus/tokenizer.
  const char *vocabulary = std::getenv("SE_FUZZ_VOCABULARY");
  if (vocabulary == nullptr) std::abort();
  static const auto tokenizer = se::Tokenizer::from_file(vocabulary);
  se::GrammarOptions options;
  options.text = data;
  se::Interrupt interrupt;
  se::Grammar grammar(options, tokenizer, interrupt);
  for (const int32_t token : tokenizer.tokenize("ab Hello", false, false)) {
    llama_token_data candidate = {token, 0, 0};
    llama_token_data_array candidates = {&candidate, 1, -1, false};
    grammar.apply(candidates);
    if (candidate.logit != 0) return;
    grammar.accept(token);
  }
});

}  // namespace
