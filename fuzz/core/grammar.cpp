// A grammar of the user's, and a text that follows it or not.
#include "target.h"
#include "text/grammar_match.h"

namespace {

const Target grammar_target("grammar", [](const std::string &data) {
  se::GrammarMatch match(data);
  match.add("{\"a\": [1, ");
  match.is_complete();
});

}  // namespace
