// SPDX-License-Identifier: BSD-3-Clause
//
// Filters of traces: classic BPF, which libpcap compiles from an expression on the host and interprets
// here. Its interpreter trusts what it is given, to the point of abort(); and its bpf_validate() lets
// loops through. So the checks are the kernel's (net/core/filter.c, bpf_check_classic).

#include <errno.h>

#include "datapath/trace_private.h"

static bool is_known(uint16_t code)
{
	static const uint16_t known[] = {
		BPF_RET | BPF_K,
		BPF_RET | BPF_A,
		BPF_LD | BPF_W | BPF_ABS,
		BPF_LD | BPF_H | BPF_ABS,
		BPF_LD | BPF_B | BPF_ABS,
		BPF_LD | BPF_W | BPF_IND,
		BPF_LD | BPF_H | BPF_IND,
		BPF_LD | BPF_B | BPF_IND,
		BPF_LD | BPF_W | BPF_LEN,
		BPF_LDX | BPF_W | BPF_LEN,
		BPF_LDX | BPF_B | BPF_MSH,
		BPF_LD | BPF_IMM,
		BPF_LDX | BPF_IMM,
		BPF_LD | BPF_MEM,
		BPF_LDX | BPF_MEM,
		BPF_ST,
		BPF_STX,
		BPF_JMP | BPF_JA,
		BPF_JMP | BPF_JEQ | BPF_K,
		BPF_JMP | BPF_JEQ | BPF_X,
		BPF_JMP | BPF_JGT | BPF_K,
		BPF_JMP | BPF_JGT | BPF_X,
		BPF_JMP | BPF_JGE | BPF_K,
		BPF_JMP | BPF_JGE | BPF_X,
		BPF_JMP | BPF_JSET | BPF_K,
		BPF_JMP | BPF_JSET | BPF_X,
		BPF_ALU | BPF_ADD | BPF_K,
		BPF_ALU | BPF_ADD | BPF_X,
		BPF_ALU | BPF_SUB | BPF_K,
		BPF_ALU | BPF_SUB | BPF_X,
		BPF_ALU | BPF_MUL | BPF_K,
		BPF_ALU | BPF_MUL | BPF_X,
		BPF_ALU | BPF_DIV | BPF_K,
		BPF_ALU | BPF_DIV | BPF_X,
		BPF_ALU | BPF_MOD | BPF_K,
		BPF_ALU | BPF_MOD | BPF_X,
		BPF_ALU | BPF_AND | BPF_K,
		BPF_ALU | BPF_AND | BPF_X,
		BPF_ALU | BPF_OR | BPF_K,
		BPF_ALU | BPF_OR | BPF_X,
		BPF_ALU | BPF_XOR | BPF_K,
		BPF_ALU | BPF_XOR | BPF_X,
		BPF_ALU | BPF_LSH | BPF_K,
		BPF_ALU | BPF_LSH | BPF_X,
		BPF_ALU | BPF_RSH | BPF_K,
		BPF_ALU | BPF_RSH | BPF_X,
		BPF_ALU | BPF_NEG,
		BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA,
	};

	for (size_t i = 0; i < RTE_DIM(known); i++) {
		if (known[i] == code)
			return true;
	}
	return false;
}

// NULL: it is good. `left`: instructions behind it.
static const char *what_is_wrong(const struct filter_instruction *instruction, uint32_t left)
{
	uint16_t code = instruction->code;

	if (!is_known(code))
		return "is none of classic BPF's";
	if (code == (BPF_JMP | BPF_JA))
		return instruction->value >= left ? "jumps backwards, or out of the program" : NULL;
	if (BPF_CLASS(code) == BPF_JMP)
		return instruction->jump_true >= left || instruction->jump_false >= left
			       ? "jumps out of the program"
			       : NULL;
	if (code == (BPF_LD | BPF_MEM) || code == (BPF_LDX | BPF_MEM) || code == BPF_ST ||
	    code == BPF_STX)
		return instruction->value >= BPF_MEMWORDS ? "has no such memory" : NULL;
	if ((code == (BPF_ALU | BPF_DIV | BPF_K) || code == (BPF_ALU | BPF_MOD | BPF_K)) &&
	    instruction->value == 0)
		return "divides by 0";
	if ((code == (BPF_ALU | BPF_LSH | BPF_K) || code == (BPF_ALU | BPF_RSH | BPF_K)) &&
	    instruction->value >= 32)
		return "shifts by more than 31";
	return NULL;
}

int trace_filter_take(const struct filter_instruction *filter, uint32_t size,
		      struct bpf_insn ret_filter[LIMIT_FILTER], struct error *err)
{
	if (size > LIMIT_FILTER)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "filter: %u instructions are more than %d", size,
				 (int)LIMIT_FILTER);
	for (uint32_t i = 0; i < size; i++) {
		const char *wrong = what_is_wrong(&filter[i], size - 1 - i);

		if (wrong != NULL)
			return error_set(err, EINVAL, CODE_BAD_REQUEST,
					 "filter: instruction %u (code 0x%x) %s", i, filter[i].code,
					 wrong);
		ret_filter[i] = (struct bpf_insn){
			.code = filter[i].code,
			.jt = filter[i].jump_true,
			.jf = filter[i].jump_false,
			.k = filter[i].value,
		};
	}
	if (size > 0 && BPF_CLASS(filter[size - 1].code) != BPF_RET)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "filter: it has no end");
	return 0;
}
