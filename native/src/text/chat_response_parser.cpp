// Compares what llama.cpp read so far with what the receiver knows, and passes on the difference.
#include "text/chat_response_parser.h"

#include <chat-peg-parser.h>

#include <algorithm>
#include <random>
#include <set>
#include <utility>
#include <variant>

namespace se {
namespace {

constexpr size_t kParsesPerSize = 400;
// White space at the end of a text is passed on only when something follows, because parsers may drop it; but no more
// than this is kept.
constexpr size_t kMostSpaceHeldBack = 256;
constexpr std::string_view kSpace = " \t\r\n";

std::string_view without_space_at_end(std::string_view text) {
  const size_t last = text.find_last_not_of(kSpace);
  const size_t count = last == std::string_view::npos ? 0 : last + 1;
  return text.substr(0, std::max(count, text.size() > kMostSpaceHeldBack ? text.size() - kMostSpaceHeldBack : 0));
}

// Mistral's templates refuse other ids than nine letters and digits, and all others take any.
std::string make_tool_call_id() {
  constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::random_device random;
  std::string id;
  while (id.size() < 9) id += kCharacters[random() % kCharacters.size()];
  return id;
}

// What ends text: parsers of llama.cpp read it up to there; those that read it character by character also end it where
// something else begins.
std::vector<std::string> markers_of(const common_peg_arena &arena) {
  std::set<std::string> markers, literals;
  bool reads_characters = false;
  for (size_t id = 0; id < arena.size(); ++id) {
    const common_peg_parser_variant &parser = arena.get(id);
    if (const auto *until = std::get_if<common_peg_until_parser>(&parser)) {
      markers.insert(until->delimiters.begin(), until->delimiters.end());
    } else if (const auto *ac = std::get_if<common_peg_ac_parser>(&parser)) {
      markers.insert(ac->delimiters.begin(), ac->delimiters.end());
    } else if (const auto *literal = std::get_if<common_peg_literal_parser>(&parser)) {
      literals.insert(literal->literal);
    } else if (std::holds_alternative<common_peg_any_parser>(parser)) {
      reads_characters = true;
    }
  }
  if (reads_characters) markers.merge(literals);
  // What is looked for must not begin or end with white space, some of which parsers skip.
  std::set<std::string> trimmed;
  for (const std::string &marker : markers) {
    const size_t first = marker.find_first_not_of(kSpace);
    if (first == std::string::npos) continue;
    trimmed.insert(marker.substr(first, marker.find_last_not_of(kSpace) + 1 - first));
  }
  return {trimmed.begin(), trimmed.end()};
}

}  // namespace

ChatResponseParser::ChatResponseParser(common_chat_parser_params parameters, AnswerText answer_text)
    : parameters_(std::move(parameters)),
      answer_text_(std::move(answer_text)),
      markers_(markers_of(parameters_.parser)) {}

bool ChatResponseParser::add(std::string_view text, const DeltaReceiver &receiver) {
  text_ += text;
  if (open_ != nullptr && !has_marker(std::string_view(text_).substr(passed_on_))) return go_on(receiver);
  if (text_.size() < next_parse_) return true;
  next_parse_ = text_.size() + 1 + text_.size() / kParsesPerSize;
  return parse(true, receiver);
}

bool ChatResponseParser::finish(const DeltaReceiver &receiver) {
  try {
    const common_chat_msg message = common_chat_parse(text_, false, parameters_);
    return pass_on(message, false, receiver) && pass_on_unread(message, receiver);
  } catch (const std::exception &) {
    // Cut off by a limit, or not in the model's format.
  }
  if (!parse(true, receiver)) return false;
  if (begun_calls_ > 0) return pass_on(said_, false, receiver);
  const bool is_told_from_start = !said_.content.empty() || !said_.reasoning_content.empty();
  if (is_told_from_start && passed_on_ == 0) return true;
  const std::string rest = text_.substr(passed_on_);
  const bool is_reasoning = open_ == &common_chat_msg::reasoning_content;
  return rest.empty() || say(is_reasoning ? open_ : &common_chat_msg::content, rest, receiver);
}

// What looked like the beginning of a mark or a call, and the answer ended there. llama.cpp's parsers leave it out.
bool ChatResponseParser::pass_on_unread(const common_chat_msg &message, const DeltaReceiver &receiver) {
  if (!answer_text_.is_free || begun_calls_ > 0) return true;
  const Field last = message.content.empty() ? &common_chat_msg::reasoning_content : &common_chat_msg::content;
  const std::string &said = message.*last;
  const size_t at = text_.rfind(said);
  if (at == std::string::npos) return true;
  const std::string_view unread = std::string_view(text_).substr(said.empty() ? 0 : at + said.size());
  const std::string_view rest = without_reasoning_marks(unread);
  const size_t first = rest.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return true;
  const bool is_mark_cut_off = std::any_of(markers_.begin(), markers_.end(), [&](const std::string &marker) {
    return marker.size() > rest.size() - first && marker.starts_with(rest.substr(first));
  });
  const bool is_call_cut_off = answer_text_.is_call || is_call_begun();
  if (!is_mark_cut_off && !is_call_cut_off && !answer_text_.is_all_of_it) return true;
  return say(said.empty() || is_call_cut_off ? &common_chat_msg::content : last, rest, receiver);
}

// Whether the answer ends in a call of which not enough is there to tell of it.
bool ChatResponseParser::is_call_begun() const {
  common_peg_parse_context context(parameters_.generation_prompt + text_, COMMON_PEG_PARSE_FLAG_LENIENT);
  bool is_begun = false;
  context.ast.visit(parameters_.parser.parse(context), [&](const common_peg_ast_node &node) {
    is_begun = is_begun || (node.tag == common_chat_peg_builder::TOOL && !node.text.empty());
  });
  return is_begun;
}

std::string_view ChatResponseParser::without_reasoning_marks(std::string_view text) const {
  for (const std::string &mark : answer_text_.reasoning_marks) {
    const std::string_view marked = text.substr(std::min(text.find_first_not_of(kSpace), text.size()));
    if (!mark.empty() && marked.starts_with(mark)) text = marked.substr(mark.size());
  }
  return text;
}

bool ChatResponseParser::parse(bool is_partial, const DeltaReceiver &receiver) {
  common_chat_msg message;
  try {
    message = common_chat_parse(text_, is_partial, parameters_);
  } catch (const std::exception &) {
    return true;  // nothing can be read yet
  }
  if (!pass_on(message, is_partial, receiver)) return false;
  find_open_field(message);
  return true;
}

bool ChatResponseParser::pass_on(const common_chat_msg &message, bool is_partial, const DeltaReceiver &receiver) {
  const bool has_calls = !message.tool_calls.empty();
  const bool has_content = !message.content.empty();
  if (!pass_on_field(message, &common_chat_msg::reasoning_content, is_partial && !has_content && !has_calls,
                     receiver)) {
    return false;
  }
  if (!pass_on_field(message, &common_chat_msg::content, is_partial && !has_calls, receiver)) return false;
  for (size_t i = 0; i < message.tool_calls.size(); ++i) {
    if (!pass_on_call(message, i, is_partial && i + 1 == message.tool_calls.size(), receiver)) return false;
  }
  return true;
}

bool ChatResponseParser::pass_on_field(const common_chat_msg &message, Field field, bool may_grow,
                                       const DeltaReceiver &receiver) {
  const std::string_view whole = may_grow ? without_space_at_end(message.*field) : message.*field;
  if (!whole.starts_with(said_.*field)) return true;
  const std::string_view rest = whole.substr((said_.*field).size());
  return rest.empty() || say(field, rest, receiver);
}

bool ChatResponseParser::pass_on_call(const common_chat_msg &message, size_t index, bool may_grow,
                                      const DeltaReceiver &receiver) {
  const common_chat_tool_call &call = message.tool_calls[index];
  // Only its arguments show that a name is complete.
  if (may_grow && call.arguments.empty()) return true;
  const auto tool_index = static_cast<uint32_t>(index);
  if (index == begun_calls_) {
    said_.tool_calls.push_back({call.name, "", call.id.empty() ? make_tool_call_id() : call.id});
    ++begun_calls_;
    TextDelta begin{.kind = DeltaKind::tool_call_begin, .tool_index = tool_index};
    begin.tool_call_id = said_.tool_calls[index].id;
    begin.tool_name = said_.tool_calls[index].name;
    if (!receiver(begin)) return false;
  }
  std::string &said = said_.tool_calls[index].arguments;
  if (call.arguments.starts_with(said) && call.arguments.size() > said.size()) {
    const std::string rest = call.arguments.substr(said.size());
    said = call.arguments;
    if (!receiver({.kind = DeltaKind::tool_call_arguments, .tool_index = tool_index, .text = rest})) return false;
  }
  if (may_grow || index < ended_calls_) return true;
  ++ended_calls_;
  return receiver({.kind = DeltaKind::tool_call_end, .tool_index = tool_index});
}

bool ChatResponseParser::say(Field field, std::string_view text, const DeltaReceiver &receiver) {
  said_.*field += text;
  const bool is_reasoning = field == &common_chat_msg::reasoning_content;
  return receiver({.kind = is_reasoning ? DeltaKind::reasoning : DeltaKind::text, .text = text});
}

bool ChatResponseParser::go_on(const DeltaReceiver &receiver) {
  const std::string_view rest = std::string_view(text_).substr(passed_on_);
  const std::string piece(without_space_at_end(rest.substr(0, rest.size() - held_back(rest))));
  passed_on_ += piece.size();
  return piece.empty() || say(open_, piece, receiver);
}

bool ChatResponseParser::has_marker(std::string_view text) const {
  return std::any_of(markers_.begin(), markers_.end(),
                     [&](const std::string &marker) { return text.find(marker) != std::string_view::npos; });
}

// The longest end of `text` with which a marker begins.
size_t ChatResponseParser::held_back(std::string_view text) const {
  size_t most = 0;
  for (const std::string &marker : markers_) {
    for (size_t count = std::min(marker.size() - 1, text.size()); count > most; --count) {
      if (text.ends_with(std::string_view(marker).substr(0, count))) most = count;
    }
  }
  return most;
}

// Text can go on without parsing where the message's last part stands in the answer as it is.
void ChatResponseParser::find_open_field(const common_chat_msg &message) {
  open_ = nullptr;
  if (!answer_text_.is_free || !message.tool_calls.empty()) return;
  const Field last = message.content.empty() ? &common_chat_msg::reasoning_content : &common_chat_msg::content;
  const std::string_view said = said_.*last;
  const std::string_view text = without_space_at_end(text_);
  if (said.empty() || !text.ends_with(said.substr(said.size() - std::min<size_t>(said.size(), 64)))) return;
  open_ = last;
  passed_on_ = text.size();
}

}  // namespace se
