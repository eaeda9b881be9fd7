//! `lake sql`.

use std::io::{IsTerminal, Read};

use clap::Args;
use engine::contract::{TableName, spelled};
use engine::error::{Error, Result};

use super::tables::Tables;
use super::{Common, Need, prompt};

/// Ask the tables; without a query, a prompt
#[derive(Args, Debug)]
pub(crate) struct Sql {
    /// One SELECT; nothing that changes a table is allowed
    query: Option<String>,
    /// Read a table as it was: `gold.orders_daily=12`
    #[arg(long, value_name = "TABLE=VERSION", value_parser = version)]
    version: Vec<(TableName, u64)>,
}

fn version(text: &str) -> Result<(TableName, u64), String> {
    let (table, version) = text.rsplit_once('=').ok_or("write TABLE=VERSION, as in gold.x=12")?;
    let table = spelled(table).ok_or_else(|| format!("`{table}` is no table, as in gold.x"))?;
    let version = version.parse().map_err(|_| format!("`{version}` is no version number"))?;
    Ok((table, version))
}

impl Sql {
    pub(crate) async fn run(self, common: &Common) -> Result<()> {
        let world = common.world(Need::Readable).await?;
        let tables = Tables::open(&world, &self.version).await?;
        if let Some(query) = self.query {
            match statements(&query).len() {
                0 => return Err(no_query()),
                1 => {}
                n => {
                    return Err(Error::usage(format!("there are {n} queries in one argument"))
                        .hint("run `lake sql` for each, or give them all on stdin"));
                }
            }
            return tables.print(&query, common.global.output).await.map(drop);
        }
        if std::io::stdin().is_terminal() {
            return prompt::prompt(&world, tables, &self.version, common.global.output).await;
        }
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|cause| Error::io("cannot read a query from stdin", cause))?;
        let queries = statements(&text);
        if queries.is_empty() {
            return Err(no_query());
        }
        for query in queries {
            tables.print(&query, common.global.output).await?;
        }
        Ok(())
    }
}

fn no_query() -> Error {
    Error::usage("there is no query").hint("lake sql \"SELECT 1\", or without a query a prompt")
}

/// The statements of a text, split at semicolons outside quotes and comments.
pub(crate) fn statements(text: &str) -> Vec<String> {
    use sqlparser::dialect::GenericDialect;
    use sqlparser::tokenizer::{Token, Tokenizer};
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else {
        return vec![text.to_owned()];
    };
    let mut all = vec![(String::new(), false)];
    for token in tokens {
        match token {
            Token::SemiColon => all.push((String::new(), false)),
            token => {
                if let Some((last, says_something)) = all.last_mut() {
                    last.push_str(&token.to_string());
                    // Comments count as white space.
                    *says_something |= !matches!(token, Token::Whitespace(_));
                }
            }
        }
    }
    all.retain(|(_, says_something)| *says_something);
    all.into_iter().map(|(statement, _)| statement).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_quotes() {
        assert_eq!(
            statements("SELECT ';' AS a; SELECT 2 -- ;\n;"),
            ["SELECT ';' AS a", " SELECT 2 -- ;\n"]
        );
        assert!(statements(" ; -- nothing\n /* at all */;").is_empty());
    }
}
