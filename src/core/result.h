// How operations that depend on outside input report failure: Result<T> = value or Error.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

namespace mixtral {

/// What kind of failure an Error is. Callers decide by the code and show people the message.
enum class ErrorCode {
  kBadInput,     ///< A file, request or argument contradicts its format or itself.
  kUnsupported,  ///< Well formed, but a kind that this program does not handle.
  kNotFound,     ///< A file, tensor or key that must exist does not.
  kIo,           ///< The operating system refused to read or write.
  kTooLarge,     ///< More memory, context or time than allowed.
  kDevice,       ///< A computation failed: a device, or a result that is no number.
  kCancelled,    ///< The caller asked to stop.
  kBusy,         ///< No room at the moment: the same may succeed later.
};

/// A failure: `message` names the file and the tensor or field, what was found and what was
/// expected.
struct Error {
  ErrorCode code;
  std::string message;
};

/// A value or an Error: tl::expected that may not be dropped unseen.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

/// Makes the failing value of any Result: `return fail(ErrorCode::kBadInput, "{}: empty", path);`
template <class... Args>
tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

/// The same error with "`where`: " before its message, for the layer that knows the file or tensor.
inline tl::unexpected<Error> with_context(Error error, std::string_view where) {
  error.message = fmt::format("{}: {}", where, error.message);
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace mixtral

// MIXTRAL_TRY(status_expression);               leaves the function with the error, if there is one
// MIXTRAL_TRY(auto value, result_expression);   the same, else binds the value
#define MIXTRAL_TRY(...) \
  MIXTRAL_TRY_PICK_(__VA_ARGS__, MIXTRAL_TRY_BIND_, MIXTRAL_TRY_STATUS_, )(__VA_ARGS__)
#define MIXTRAL_TRY_PICK_(a, b, chosen, ...) chosen
#define MIXTRAL_TRY_STATUS_(expression)                                                    \
  do {                                                                                     \
    auto mixtral_try_result = (expression);                                                \
    if (!mixtral_try_result) return tl::unexpected(std::move(mixtral_try_result).error()); \
  } while (false)
#define MIXTRAL_TRY_CONCAT_2_(a, b) a##b
#define MIXTRAL_TRY_CONCAT_(a, b) MIXTRAL_TRY_CONCAT_2_(a, b)
#define MIXTRAL_TRY_BIND_(declaration, expression) \
  MIXTRAL_TRY_BIND_NAMED_(MIXTRAL_TRY_CONCAT_(mixtral_try_, __LINE__), declaration, expression)
#define MIXTRAL_TRY_BIND_NAMED_(name, declaration, expression) \
  auto name = (expression);                                    \
  if (!name) return tl::unexpected(std::move(name).error());   \
  declaration = *std::move(name)
