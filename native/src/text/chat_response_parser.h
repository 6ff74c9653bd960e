// ResponseParser by llama.cpp's parsers of chats.
#pragma once

#include <chat.h>

#include <string>
#include <string_view>
#include <vector>

#include "text/response_parser.h"

namespace se {

// llama.cpp parses an answer from its start each time. So that a long one costs no more than its length, plain text and
// reasoning go on without parsing as long as nothing looks like the end of them, and otherwise it is parsed again only
// when it has grown by a four hundredth.
class ChatResponseParser : public ResponseParser {
 public:
  struct AnswerText {
    bool is_free;       // it follows no schema, what the answer says beside calls
    bool is_all_of_it;  // there are no marks: what is no call is text
    bool is_call;       // it can be nothing but calls, beside reasoning
    std::vector<std::string> reasoning_marks = {};
  };
  ChatResponseParser(common_chat_parser_params parameters, AnswerText answer_text);

  bool add(std::string_view text, const DeltaReceiver &receiver) override;
  bool finish(const DeltaReceiver &receiver) override;
  bool has_tool_calls() const override { return begun_calls_ > 0; }

 private:
  using Field = std::string common_chat_msg::*;

  bool parse(bool is_partial, const DeltaReceiver &receiver);
  bool pass_on(const common_chat_msg &message, bool is_partial, const DeltaReceiver &receiver);
  bool pass_on_field(const common_chat_msg &message, Field field, bool may_grow, const DeltaReceiver &receiver);
  bool pass_on_call(const common_chat_msg &message, size_t index, bool may_grow, const DeltaReceiver &receiver);
  bool say(Field field, std::string_view text, const DeltaReceiver &receiver);
  // Text and reasoning that is certain to go on as it is.
  bool go_on(const DeltaReceiver &receiver);
  bool has_marker(std::string_view text) const;
  size_t held_back(std::string_view text) const;
  bool pass_on_unread(const common_chat_msg &message, const DeltaReceiver &receiver);
  bool is_call_begun() const;
  std::string_view without_reasoning_marks(std::string_view text) const;
  void find_open_field(const common_chat_msg &message);

  common_chat_parser_params parameters_;
  AnswerText answer_text_;
  std::vector<std::string> markers_;  // where text or reasoning may end
  std::string text_;
  size_t next_parse_ = 0;  // the size of the text at which it is worth parsing
  Field open_ = nullptr;   // what the text ends in, if more of it can be passed on without parsing
  size_t passed_on_ = 0;   // up to where the text belongs to that and was passed on
  common_chat_msg said_;   // what the receiver knows
  size_t begun_calls_ = 0;
  size_t ended_calls_ = 0;
};

}  // namespace se
