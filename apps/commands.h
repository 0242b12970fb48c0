// The subcommands: each lives in a cmd_NAME.cpp of its own and adds itself to the program.
#pragma once

namespace CLI {
class App;
}

namespace mixtral {

struct AppContext;

// Each callback ends with context.finish(...), which sets the exit code. `context` outlives `app`'s
// parse.
void add_chat_command(CLI::App& app, AppContext& context);
void add_generate_command(CLI::App& app, AppContext& context);
void add_info_command(CLI::App& app, AppContext& context);
void add_tokenize_command(CLI::App& app, AppContext& context);
void add_detokenize_command(CLI::App& app, AppContext& context);
void add_logits_command(CLI::App& app, AppContext& context);
void add_convert_command(CLI::App& app, AppContext& context);
void add_pack_command(CLI::App& app, AppContext& context);
void add_quantize_command(CLI::App& app, AppContext& context);
void add_imatrix_command(CLI::App& app, AppContext& context);
void add_perplexity_command(CLI::App& app, AppContext& context);
void add_upcycle_command(CLI::App& app, AppContext& context);
void add_make_model_command(CLI::App& app, AppContext& context);
void add_bench_command(CLI::App& app, AppContext& context);
void add_serve_command(CLI::App& app, AppContext& context);
void add_load_test_command(CLI::App& app, AppContext& context);
// These tell of all commands of `app`, so of those that are added after them too.
void add_completion_command(CLI::App& app, AppContext& context);
void add_man_command(CLI::App& app, AppContext& context);

}  // namespace mixtral
