//! The default policies of the attestation types, byte for byte, with what is documented of the rest.

/// `SgxEnclave` and `OpenEnclave`.
pub const SGX: &str = r#"version= 1.1;configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="azuredefault");};authorizationrules{=> permit();};issuancerules{c:[type=="x-ms-sgx-is-debuggable"] => issue(type="is-debuggable", value=c.value);c:[type=="x-ms-sgx-mrsigner"] => issue(type="sgx-mrsigner", value=c.value);c:[type=="x-ms-sgx-mrenclave"] => issue(type="sgx-mrenclave", value=c.value);c:[type=="x-ms-sgx-product-id"] => issue(type="product-id", value=c.value);c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);c:[type=="x-ms-attestation-type"] => issue(type="tee", value=c.value);};"#;

/// `SgxEnclave` and `OpenEnclave` in 2021 and 2022.
pub const SGX_2021: &str = r#"version= 1.0;authorizationrules{=> permit();};issuancerules{c:[type=="x-ms-sgx-is-debuggable"] => issue(type="is-debuggable", value=c.value);c:[type=="x-ms-sgx-mrsigner"] => issue(type="sgx-mrsigner", value=c.value);c:[type=="x-ms-sgx-mrenclave"] => issue(type="sgx-mrenclave", value=c.value);c:[type=="x-ms-sgx-product-id"] => issue(type="product-id", value=c.value);c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);c:[type=="x-ms-attestation-type"] => issue(type="tee", value=c.value);};"#;

/// `SgxEnclave` and `OpenEnclave` in 2020.
pub const SGX_2020: &str = r#"version= 1.0;authorizationrules{c:[type=="$is-debuggable"] => permit();};issuancerules{c:[type=="$is-debuggable"] => issue(type="is-debuggable", value=c.value);c:[type=="$sgx-mrsigner"] => issue(type="sgx-mrsigner", value=c.value);c:[type=="$sgx-mrenclave"] => issue(type="sgx-mrenclave", value=c.value);c:[type=="$product-id"] => issue(type="product-id", value=c.value);c:[type=="$svn"] => issue(type="svn", value=c.value);c:[type=="$tee"] => issue(type="tee", value=c.value);};"#;

/// `SevSnpVm`.
pub const SEV_SNP: &str = "version= 1.0;authorizationrules{=> permit();};";

/// `TdxVm`.
pub const TDX: &str = SEV_SNP;

/// `CyResComponent`, of the 2018 preview only.
pub const CYRES_2018: &str = r#"version= 1.0;authorizationrules{c:[type=="$is-debuggable"] => permit();};issuancerules{c:[type=="$public_key_0"] => issue(type="device_id", value=c.value);c:[type=="$product_id_0"] => issue(type="component_0_id", value=c.value);=> issue(type="expected_components", value="component_0");c:[type=="$tee"] => issue(type="tee", value=c.value);};"#;

/// `AzureGuest`: the documented meaning in a text of our own, since the published one is unknown.
pub const AZURE_GUEST: &str = r#"version= 1.0;
authorizationrules
{
    [type=="x-ms-azurevm-default-securebootkeysvalidated", value==false] => deny();
    [type=="x-ms-azurevm-debuggersdisabled", value==false] => deny();
    [type=="secureboot", value==false] => deny();
    [type=="x-ms-azurevm-signingdisabled", value==false] => deny();
    [type=="x-ms-azurevm-dbvalidated", value==false] => deny();
    [type=="x-ms-azurevm-dbxvalidated", value==false] => deny();
    => permit();
};
issuancerules
{

};
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    /// The values of `x-ms-policy-hash` in tokens issued under these policies.
    #[test]
    fn the_texts_have_the_published_hashes() {
        for (text, hash) in [
            (SGX, "ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc"),
            (SGX_2021, "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw"),
            (SGX_2020, "egjnANIzEpS2WgpE4Nk-QEwM69XRCgTs42_G0qLlbnk"),
            (SEV_SNP, "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco"),
            (TDX, "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco"),
            (
                "version=1.0; authorizationrules{=> permit();}; issuancerules{};",
                "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU",
            ),
            (
                "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};",
                "LTPRQQju-FejAwdYihF8YV_c2XWebG9joKvrHKc3bxs",
            ),
            (
                "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};\n\nissuancerules\n{\n};",
                "B56nbp5slhw66peoRYkpdq1WykMkEworvdol08hnMXE",
            ),
        ] {
            let policy = Policy::analyze(text).unwrap();
            assert_eq!(policy.hash(), hash, "{text}");
            assert_eq!(policy.text(), text);
        }
    }

    #[test]
    fn the_defaults_without_a_published_hash_are_policies_too() {
        for text in [CYRES_2018, AZURE_GUEST] {
            assert!(Policy::analyze(text).is_ok(), "{text}");
        }
    }
}
