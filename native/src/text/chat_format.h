// How one model is spoken to: messages and tools become its prompt, and its answers are read in its own format.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/interrupt.h"
#include "text/chat_request.h"
#include "text/grammar.h"
#include "text/input_marks.h"
#include "text/reasoning.h"
#include "text/response_parser.h"

namespace se {

class TemplateLimits;

struct ChatPrompt {
  // With marks of InputMarks.
  std::string text = {};
  // Its end, with which the template has begun the answer, such as "<|im_start|>assistant\n".
  std::string begun_response = {};
  // What the answer, or what follows the reasoning, must begin with, because a tool call is required: grammars of many
  // formats let any text come before it, and small models never stop with that.
  std::string opening = {};
  // For all of the answer, or from a trigger on.
  GrammarOptions grammar = {};
  // Texts of special tokens that the parser must see.
  std::vector<std::string> preserved_tokens = {};
  // The answer ends before these.
  std::vector<std::string> stops = {};
  Reasoning::Marks reasoning = {};
  std::optional<uint32_t> reasoning_budget = {};  // in tokens
  // Whether the model begins it by itself.
  bool is_reasoning_expected = false;
  // Null: all of the answer is text.
  std::unique_ptr<ResponseParser> parser = {};
};

class ChatFormat {
 public:
  // `source` may be empty: the model has no template, and `prompt` throws.
  ChatFormat(std::string source, std::string bos, std::string eos);
  ~ChatFormat();
  ChatFormat(ChatFormat &&) noexcept;

  bool exists() const { return !source_.empty(); }
  const std::string &source() const { return source_; }

  // From any thread. INVALID_ARGUMENT: the template rejects these messages, or a schema; UNSUPPORTED: there is no
  // template, it cannot be read or computes without end, or this runtime was built without what is asked for.
  ChatPrompt prompt(const ChatRequest &request, const InputMarks &marks, const Interrupt &interrupt) const;

 private:
  struct Template;
  struct Once;

  const Template &found(const TemplateLimits &limits) const;

  std::string source_;
  std::string bos_;
  std::string eos_;
  std::unique_ptr<Once> once_;
};

}  // namespace se
