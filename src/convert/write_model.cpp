#include "convert/write_model.h"

#include "convert/write_gguf.h"
#include "convert/write_huggingface.h"
#include "convert/write_packed.h"
#include "core/check.h"

namespace mixtral {

ModelFormat format_of_path(const std::string& path) {
  return path.ends_with(".gguf") ? ModelFormat::kGguf : ModelFormat::kHuggingFace;
}

Result<WriteReport> write_model(const ModelSource& model, ModelFormat format,
                                const std::string& path, const WriteOptions& options,
                                Progress* progress) {
  MIXTRAL_CHECK(!options.type || !is_quantised(*options.type), "options.type must be a float type");
  MIXTRAL_CHECK(options.mix == nullptr || format == ModelFormat::kGguf,
                "only GGUF files hold mixes of types");
  switch (format) {
    case ModelFormat::kGguf: return write_gguf(model, path, options, progress);
    case ModelFormat::kHuggingFace: return write_huggingface(model, path, options, progress);
    case ModelFormat::kPacked: return write_packed(model, path, options, progress);
  }
  MIXTRAL_CHECK(false, "unknown format");
}

}  // namespace mixtral
