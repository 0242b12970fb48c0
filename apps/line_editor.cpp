// make_editing_reader() with libedit, where the build found it.
#include "line_reader.h"

#ifdef MIXTRAL_HAVE_LIBEDIT

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cwchar>
#include <filesystem>

#include "interrupt.h"
#include "user_folders.h"

namespace mixtral {
namespace {

constexpr int kHistoryEntries = 1000;
constexpr int kInterruptPollMs = 100;

class EditingReader : public LineReader {
 public:
  EditingReader()
      : editor_(el_init("mixtral", stdin, stdout, stderr)),
        history_(history_init()),
        file_((state_folder() / "history").string()) {
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &prompt_of);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_GETCFN, &read_character);
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryEntries);
    history(history_, &event, H_SETUNIQUE, 1);
    el_set(editor_, EL_HIST, history, history_);
    history(history_, &event, H_LOAD, file_.c_str());  // none yet on the first start
    el_source(editor_, nullptr);                       // the user's own ~/.editrc
  }
  ~EditingReader() override {
    history_end(history_);
    el_end(editor_);
  }
  EditingReader(const EditingReader&) = delete;
  EditingReader& operator=(const EditingReader&) = delete;

  Line read(const std::string& prompt) override {
    prompt_ = prompt;
    el_resize(editor_);
    int length = 0;
    const char* text = el_gets(editor_, &length);
    if (text != nullptr && length > 0) {
      std::string line(text, static_cast<size_t>(length));
      if (line.ends_with('\n')) line.pop_back();
      return {LineEnd::kLine, line};
    }
    std::fputc('\n', stdout);
    if (!interrupted()) return {LineEnd::kEnd, {}};
    el_reset(editor_);
    return {LineEnd::kInterrupted, {}};
  }

  void remember(const std::string& entry) override {
    HistEvent event;
    history(history_, &event, H_ENTER, entry.c_str());
    std::error_code ignored;  // without a history file the session still works
    std::filesystem::create_directories(state_folder(), ignored);
    history(history_, &event, H_SAVE, file_.c_str());
  }

 private:
  static EditingReader& self(EditLine* editor) {
    void* reader = nullptr;
    el_get(editor, EL_CLIENTDATA, &reader);
    return *static_cast<EditingReader*>(reader);
  }
  static char* prompt_of(EditLine* editor) { return self(editor).prompt_.data(); }

  // libedit's own would go on reading after Ctrl-C.
  static int read_character(EditLine*, wchar_t* character) {
    std::mbstate_t state{};
    for (;;) {
      // A Ctrl-C just before the wait would not end it, nor one that another thread was given: look
      // now and then.
      pollfd input = {STDIN_FILENO, POLLIN, 0};
      while (!interrupted() && poll(&input, 1, kInterruptPollMs) <= 0) continue;
      if (interrupted()) return -1;
      char byte = 0;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (interrupted()) return -1;  // even if a byte came just after Ctrl-C
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return static_cast<int>(n);
      const size_t size = std::mbrtowc(character, &byte, 1, &state);
      if (size == static_cast<size_t>(-1)) state = {};  // no character: wait for the next one
      if (size <= 1) return 1;
    }
  }

  EditLine* editor_;
  History* history_;
  std::string prompt_, file_;
};

}  // namespace

std::unique_ptr<LineReader> make_editing_reader() { return std::make_unique<EditingReader>(); }

}  // namespace mixtral

#else

namespace mixtral {

std::unique_ptr<LineReader> make_editing_reader() { return nullptr; }

}  // namespace mixtral

#endif
