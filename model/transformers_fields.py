"""Fields of a transformers config.json that decide nothing about a KOSMOS-2's logits.

They are what every configuration of that library carries, settings of its own generation, which a request here states
for itself, and settings of training. A field that is neither read nor named here is refused, unless it is null.

Source: `PreTrainedConfig` and `GenerationConfig` of transformers 5.23, and `PretrainedConfig` of 4.36.
"""

from __future__ import annotations

_BOOKKEEPING = """
    _attn_implementation_autoset _commit_hash _name_or_path architectures attn_implementation auto_map
    chunk_size_feed_forward cross_attention_hidden_size dtype finetuning_task id2label label2id model_type name_or_path
    num_labels output_attentions output_hidden_states prefix problem_type return_dict task_specific_params
    tf_legacy_loss tie_encoder_decoder tokenizer_class torch_dtype torchscript transformers_version use_bfloat16
    use_cache
"""

_GENERATION = """
    assistant_confidence_threshold assistant_lookbehind bad_words_ids begin_suppress_tokens decoder_start_token_id
    diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size encoder_repetition_penalty epsilon_cutoff
    eta_cutoff exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id is_decoder length_penalty
    max_length min_length no_repeat_ngram_size num_assistant_tokens num_assistant_tokens_schedule num_beam_groups
    num_beams num_return_sequences output_scores remove_invalid_values repetition_penalty return_dict_in_generate
    sep_token_id suppress_tokens target_lookbehind temperature top_k top_p typical_p
"""

_TRAINING = """
    activation_dropout attention_dropout dropout init_std initializer_factor initializer_range layerdrop
"""

UNDECIDING = frozenset(f"{_BOOKKEEPING} {_GENERATION} {_TRAINING}".split())
