// Read before llama.cpp's Jinja engine and its schemas in the batch that compiles them: every value that the engine
// makes or looks at is counted, and what reads schemas is weak, so that text/chat_schemas.cpp stands in for it where
// that is linked.
#pragma once

// Its own header first, so that only uses of the names are replaced.
#include <type_traits>

#include "jinja/value.h"
#include "json-schema-to-grammar.h"
#include "json-schema.h"

[[gnu::weak]] common_chat_schema_document common_chat_schema_from_json(const common_json &schema);
[[gnu::weak]] std::string build_grammar(const std::function<void(const common_grammar_builder &)> &add,
                                        const common_grammar_options &options);

namespace se {
// In template_limits.cpp, of what links this.
void template_step();
void template_look();
// `value` may hold others.
void template_holds(std::shared_ptr<jinja::value_t> value);
}  // namespace se

namespace jinja {
template <typename T, typename... Args>
auto mk_counted_val(Args &&...args) {
  using Value = typename extract_pointee<T>::type;
  se::template_step();
  auto made = mk_val<T>(std::forward<Args>(args)...);
  if constexpr (std::is_base_of_v<value_array_t, Value> || std::is_base_of_v<value_object_t, Value>) {
    se::template_holds(made);
  }
  return made;
}

template <typename T, typename Pointer>
bool is_counted_val(const Pointer &value) {
  se::template_look();
  return is_val<T>(value);
}
}  // namespace jinja

#define mk_val mk_counted_val
#define is_val is_counted_val
