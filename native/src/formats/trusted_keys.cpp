// Checks bundle.sig.json, a DSSE envelope around an in-toto statement, against a list of keys; the same checks in the
// same order as sphere_edge/bundle/trust.py.
#include "formats/trusted_keys.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/base64.h"
#include "base/ed25519.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/status.h"
#include "formats/bundle.h"

namespace se {
namespace fs = std::filesystem;
namespace {

constexpr char kSignatures[] = "bundle.sig.json";
constexpr uint64_t kLargestSignatures = 1 << 20;
constexpr size_t kLargestTrusted = 1 << 20;
constexpr size_t kMostSignatures = 64;
constexpr size_t kLongestKeyName = 800;
constexpr char kPayloadType[] = "application/vnd.in-toto+json";
constexpr char kStatementType[] = "https://in-toto.io/Statement/v1";
constexpr char kSignAgain[] = "get the bundle again from where it was made, or sign it again";

struct TrustedKey {
  PublicKey key;
  std::string name, valid_from, valid_until;  // empty: none
};

struct TrustedKeys {
  std::map<std::string, TrustedKey> keys;
  std::set<std::string> revoked_keys, revoked_bundles;
};

struct BundleSignature {
  std::string key_id, bytes;
};

struct Envelope {
  std::string statement;
  std::vector<BundleSignature> signatures;
};

// YYYY-MM-DD: of two, the earlier one is the lesser text.
bool is_day(const std::string &text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  for (const size_t place : {0, 1, 2, 3, 5, 6, 8, 9}) {
    if (text[place] < '0' || text[place] > '9') return false;
  }
  const std::string month = text.substr(5, 2), day = text.substr(8, 2);
  return month >= "01" && month <= "12" && day >= "01" && day <= "31";
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
#if defined(_WIN32)
  gmtime_s(&parts, &now);
#else
  gmtime_r(&now, &parts);
#endif
  char text[32];
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%d", &parts)};
}

PublicKey checked_key(const std::string &text) {
  const std::optional<PublicKey> key = parse_public_key(text);
  require(key.has_value(), "a trusted key is not the public key of an Ed25519 key",
          "give it as PEM, or the one line of base64 in it");
  require(!is_of_small_order(*key), "a trusted key is of small order: anybody can sign with it");
  return *key;
}

std::string optional_string(JsonObject &object, const char *key) {
  const std::string text = object.has(key) ? object.string(key) : "";
  if (object.names(key)) object.skip(key);
  return text;
}

TrustedKey read_trusted_key(const Json &value, size_t index) {
  JsonObject entry(value, "trusted_keys.keys[" + std::to_string(index) + "]", SE_INVALID_ARGUMENT);
  TrustedKey key;
  key.key = checked_key(entry.string("public_key"));
  key.name = optional_string(entry, "name");
  const bool is_shown = std::all_of(key.name.begin(), key.name.end(),
                                    [](char letter) { return static_cast<uint8_t>(letter) >= ' ' && letter != 0x7F; });
  if (!is_shown || key.name.size() > kLongestKeyName) entry.fail("has an impossible `name`");
  for (auto [name, day] : {std::pair{"valid_from", &key.valid_from}, std::pair{"valid_until", &key.valid_until}}) {
    *day = optional_string(entry, name);
    if (entry.has(name) && !is_day(*day)) entry.fail("has no day as its " + ticked(name));
  }
  entry.finish();
  return key;
}

std::set<std::string> read_revoked(JsonObject &document, const char *key) {
  std::set<std::string> ids;
  if (!document.names(key)) return ids;
  for (const Json &value : document.array(key)) {
    if (!value.is_string() || !is_sha256(value.get<std::string>())) document.fail("has no sha256 in " + ticked(key));
    ids.insert(value.get<std::string>());
  }
  return ids;
}

TrustedKeys read_trusted_keys(const std::string &text) {
  require(text.size() <= kLargestTrusted, "trusted_keys has " + ticked(text.size()) + " bytes, more than 1 MiB");
  TrustedKeys trusted;
  if (text.find("-----BEGIN PUBLIC KEY-----") < text.find('{')) {
    const PublicKey key = checked_key(text);
    trusted.keys.emplace(key.id(), TrustedKey{key, "", "", ""});
    return trusted;
  }
  const Json json = parse_unambiguous_json(text, "trusted_keys", SE_INVALID_ARGUMENT);
  JsonObject document(json, "trusted_keys", SE_INVALID_ARGUMENT);
  const Json &keys = document.array("keys");
  for (size_t i = 0; i < keys.size(); ++i) {
    const TrustedKey key = read_trusted_key(keys[i], i);
    if (!trusted.keys.emplace(key.key.id(), key).second)
      document.fail("has the key " + ticked(key.key.id()) + " twice");
  }
  if (trusted.keys.empty()) document.fail("has no keys");
  trusted.revoked_keys = read_revoked(document, "revoked_keys");
  trusted.revoked_bundles = read_revoked(document, "revoked_bundles");
  document.finish();
  return trusted;
}

// Empty if its signatures count.
std::string why_not(const TrustedKeys &trusted, const std::string &key_id, const std::string &day) {
  if (trusted.revoked_keys.contains(key_id)) return "is revoked";
  const auto found = trusted.keys.find(key_id);
  if (found == trusted.keys.end()) return "is not trusted";
  const TrustedKey &key = found->second;
  if (!key.valid_from.empty() && day < key.valid_from) return "is trusted from " + key.valid_from + " on";
  if (!key.valid_until.empty() && day > key.valid_until) return "was trusted until " + key.valid_until;
  return "";
}

[[noreturn]] void refuse_untrusted(const fs::path &path, const TrustedKeys &trusted, const std::string &why) {
  const std::string day = today();
  std::string expected;
  for (const auto &[key_id, key] : trusted.keys) {
    if (!why_not(trusted, key_id, day).empty()) continue;
    expected += (expected.empty() ? "" : " or ") + ticked(key_id);
    if (!key.name.empty()) expected += " (" + key.name + ")";
  }
  if (expected.empty()) expected = "none: no trusted key is valid today";
  throw Error(SE_UNTRUSTED, ticked(path.string()) + " " + why + "; expected a signature by " + expected,
              "get the bundle from its maker, or sign it if you made it: sphere-edge sign");
}

std::string from_base64(JsonObject &object, const char *key) {
  std::optional<std::string> bytes = decode_base64(object.string(key));
  if (!bytes) object.fail("has no base64 as its " + ticked(key));
  return *std::move(bytes);
}

Envelope read_envelope(const std::string &text) {
  const Json json = parse_unambiguous_json(text, ticked(kSignatures), SE_MODEL_CORRUPT);
  JsonObject document(json, kSignatures, SE_MODEL_CORRUPT);
  if (document.string("payloadType") != kPayloadType) document.fail("has another `payloadType`");
  Envelope envelope;
  envelope.statement = from_base64(document, "payload");
  const Json &signatures = document.array("signatures");
  if (signatures.empty() || signatures.size() > kMostSignatures) document.fail("has no signature, or too many");
  for (size_t i = 0; i < signatures.size(); ++i) {
    JsonObject entry(signatures[i], std::string(kSignatures) + ".signatures[" + std::to_string(i) + "]",
                     SE_MODEL_CORRUPT);
    BundleSignature signature{entry.string("keyid"), from_base64(entry, "sig")};
    if (!is_sha256(signature.key_id)) entry.fail("has no sha256 as its `keyid`");
    if (signature.bytes.size() != kSignatureBytes) entry.fail("has a `sig` that is not 64 bytes long");
    entry.finish();
    envelope.signatures.push_back(std::move(signature));
  }
  document.finish();
  return envelope;
}

// What DSSE signs: so a payload of one type is never taken for another's.
std::string pre_authentication_encoding(const std::string &payload) {
  const std::string type = kPayloadType;
  return "DSSEv1 " + std::to_string(type.size()) + " " + type + " " + std::to_string(payload.size()) + " " + payload;
}

// The sha256 of the bundle.json that a statement is for; empty: it is for something else.
std::string subject_of(const std::string &statement) {
  const Json document = parse_unambiguous_json(statement, "the statement in `bundle.sig.json`", SE_MODEL_CORRUPT);
  const auto member = [](const Json &value, const char *key) {
    return value.is_object() && value.contains(key) ? value.at(key) : Json();
  };
  if (member(document, "_type") != kStatementType) return "";
  const Json subjects = member(document, "subject");
  if (!subjects.is_array()) return "";
  std::vector<std::string> found;
  for (const Json &subject : subjects) {
    const Json sha256 = member(member(subject, "digest"), "sha256");
    if (member(subject, "name") == "bundle.json" && sha256.is_string()) found.push_back(sha256.get<std::string>());
  }
  return found.size() == 1 ? found.front() : "";
}

void check_signatures(const fs::path &path, const TrustedKeys &trusted, const std::string &manifest) {
  const Envelope envelope = read_envelope(read_file(path / kSignatures, kLargestSignatures));
  const std::string message = pre_authentication_encoding(envelope.statement), day = today();
  std::string reasons;
  bool is_signed = false;
  for (const BundleSignature &signature : envelope.signatures) {
    std::string why = why_not(trusted, signature.key_id, day);
    if (!why.empty()) {
      why = "is signed by " + ticked(signature.key_id) + ", which " + why;
    } else if (!has_signed(trusted.keys.at(signature.key_id).key, message, signature.bytes)) {
      why = "has a wrong signature of " + ticked(signature.key_id);
    } else {
      is_signed = true;
    }
    if (!why.empty()) reasons += (reasons.empty() ? "" : "; it ") + why;
  }
  if (!is_signed) refuse_untrusted(path, trusted, reasons);
  // Only now that it is known who wrote it.
  const std::string subject = subject_of(envelope.statement);
  if (subject.empty()) refuse_untrusted(path, trusted, "has a signature of something else");
  if (subject != sha256(manifest)) refuse_untrusted(path, trusted, "has the signature of another bundle");
}

}  // namespace

void require_trusted(const fs::path &path, const std::string &trusted_keys, const fs::path &code_folder) {
  const TrustedKeys trusted = read_trusted_keys(trusted_keys);
  std::error_code error;
  if (!fs::exists(path, error)) throw Error(SE_NOT_FOUND, "no such file or folder: " + ticked(path.string()));
  if (!fs::is_directory(path, error)) refuse_untrusted(path, trusted, "is not a bundle, and only bundles are signed");
  const std::string manifest = read_manifest(path);
  const Bundle bundle = parse_bundle(path, manifest, code_folder);
  if (trusted.revoked_bundles.contains(bundle.id))
    refuse_untrusted(path, trusted, "is revoked: its id is " + ticked(bundle.id));
  if (!fs::exists(path / kSignatures, error)) refuse_untrusted(path, trusted, "is not signed");
  check_signatures(path, trusted, manifest);
  for (const BundleFile &file : bundle.files) {
    const MappedFile content(file.path);
    if (sha256(content.bytes()) == file.sha256) continue;
    throw Error(SE_MODEL_CORRUPT,
                "bundle file " + ticked(file.relative) + " is not the signed one: it has another hash", kSignAgain);
  }
}

}  // namespace se
