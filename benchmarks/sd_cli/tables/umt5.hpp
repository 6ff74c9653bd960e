// Stands in for the tokenizer of video models, which no image here needs.
static const unsigned char umt5_tokenizer_json_str[] = {0};
